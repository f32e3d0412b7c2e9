# SPDX-License-Identifier: GPL-3.0-or-later
"""What a call of Container.CopyIn or CopyOut asks for, judged before anybody is asked.

Whoever may execute commands as the container's root may read and write its files by one, so the actions are those.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..bounds import check_text
from ..errors import AccessDenied, InvalidArgs
from ..lifecycle.copies import Arrival
from . import openings, options
from .question import EXEC, EXEC_PRIVILEGED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dbus_next.signature import Variant

    from .engine import Container
    from .question import Call, Question

KEEP_IDS, INTO, FOLLOW = 1, 2, 1
IN = {"Name": "s"}
PATH_MAX = 4095
NAME_MAX = 255


def inwards(about: Question, call: Call, path: str, archive: int, given: Mapping[str, Variant], flags: int) -> Question:
    """`about` is the container's."""
    options.check_flags(flags, {KEEP_IDS: "keep user and group ids", INTO: "unpack in a directory that is there"})
    name = str(options.parse(given, IN).get("Name", ""))
    if "/" in name or name in (".", "..") or len(name.encode("utf-8", "surrogateescape")) > NAME_MAX:
        raise InvalidArgs(f"Name {name[:80]!r} is no file name")
    openings.check_archive(call.fds.peek(archive))
    asked = Arrival(_path(path), name, into=bool(flags & INTO), keep_ids=bool(flags & KEEP_IDS))
    return _question(about, call, path, (asked, archive), f"copy files to $(path) in the container {_NAME}")


def outwards(about: Question, call: Call, path: str, output: int, flags: int) -> Question:
    options.check_flags(flags, {FOLLOW: "follow a symbolic link"})
    openings.check_output(call.fds.peek(output))
    args = (_path(path), output, bool(flags & FOLLOW))
    return _question(about, call, path, args, f"copy $(path) out of the container {_NAME}")


def refuse_without_namespace(call: Call, container: Container) -> None:
    """As with Exec."""
    if call.uid != 0 and not container.spec.security.has_user_namespace:
        raise AccessDenied(f"container {container.name!r} has the host's user ids: only root may copy to it or from it")


_NAME = "$(container)"


def _path(path: str) -> str:
    check_text("path", path, PATH_MAX)
    if not path:
        raise InvalidArgs("path is empty: give a path in the container")
    return path if path.startswith("/") else f"/{path}"


def _question(about: Question, call: Call, path: str, args: Sequence[object], effect: str) -> Question:
    privileged = about.owner == call.uid and about.details.get("privileged") == "yes"
    said = {"path": _path(path)}
    return replace(
        about,
        actions=(EXEC_PRIVILEGED if privileged else EXEC,),
        args=tuple(args),
        effect=effect + (" of user $(owner)" if about.subject else ""),
        details={**about.details, **said},
        said=said,
        blind_effect=effect,
    )
