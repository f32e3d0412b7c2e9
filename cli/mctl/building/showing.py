# SPDX-License-Identifier: GPL-3.0-or-later
"""What RUN --mount=type=bind shows: a file or directory of the context, of another stage or of another image."""

from __future__ import annotations

import copy
import posixpath
import tarfile
from typing import TYPE_CHECKING

from .copying import kept
from .placing import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .containerfile import Instruction
    from .context import Context
    from .placing import Member
    from .service import Image, Service


class Shown:
    """known_by: what the cache tells it by; `members` reads it."""

    __slots__ = ("is_directory", "known_by", "members")

    def __init__(self, known_by: str, members: Callable[[], list[Member]], *, is_directory: bool) -> None:
        self.known_by = known_by
        self.members = members
        self.is_directory = is_directory


def of_context(instruction: Instruction, context: Context, source: str) -> Shown:
    found = context.matching(source)
    if len(found) != 1:
        what = "is not in the context" if not found else "is several files of the context"
        raise instruction.wrong(f"the source {source!r} of a bind {what}")
    members = _named((name, (file.info, file.open)) for name, file in context.below(found[0]))
    return Shown(f"sha256:{digest(members)}", lambda: members, is_directory=context.is_directory(found[0]))


def of_image(instruction: Instruction, service: Service, image: Image, source: str) -> Shown:
    path = posixpath.normpath(f"/{source.lstrip('/')}")
    _, kind, *_ = service.resolve(image.id, path)
    if not kind:
        raise instruction.wrong(f"the source {source!r} of a bind is not in the image that it is to come from")

    def members() -> list[Member]:
        with service.files(image.id, path) as archive:
            return _named((name, member) for name, member in kept(archive) if name != ".")

    return Shown(f"{image.id}:{path}", members, is_directory=kind == "directory")


def _named(files: Iterable[tuple[str, Member]]) -> list[Member]:
    """As an archive has them, below its top."""
    found: list[Member] = []
    for name, (info, opener) in files:
        made = copy.copy(info)
        made.name, made.uname, made.gname, made.pax_headers = name, "", "", {}
        if opener is not None:
            made.type = tarfile.REGTYPE
        found.append((made, opener))
    return found
