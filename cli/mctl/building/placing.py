# SPDX-License-Identifier: GPL-3.0-or-later
"""Where what COPY and ADD bring is put: the members of a layer's archive, with the image's own links followed.

A layer's directory goes before the one of the same path below it, with its owner and mode: so those that the image has
come first in the archive, as they are.
"""

from __future__ import annotations

import copy
import hashlib
import posixpath
import tarfile
import time
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Member = tuple[tarfile.TarInfo, Callable[[], IO[bytes]] | None]
    Resolve = Callable[[str], tuple[str, str, int, int, int]]


class Ownership:
    """mode None, uid and gid -1: as they are."""

    __slots__ = ("gid", "mode", "uid")

    def __init__(self, uid: int, gid: int, mode: int | None) -> None:
        self.uid = uid
        self.gid = gid
        self.mode = mode


class Layout:
    """Gathers members; `resolve` tells of a path in the image."""

    def __init__(self, resolve: Resolve, ownership: Ownership | None) -> None:
        self._resolve = resolve
        self._ownership = ownership
        self._places: dict[str, tuple[str, str, int, int, int]] = {}
        self._shown: set[str] = set()
        self.members: list[Member] = []

    def is_directory(self, path: str) -> bool:
        return self._place(path)[1] == "directory"

    def put(self, path: str, info: tarfile.TarInfo, opener: Callable[[], IO[bytes]] | None) -> None:
        """At an absolute path of the image."""
        above, name = posixpath.split(path)
        made = copy.copy(info)
        if info.isdir():
            where, kind, *_ = self._place(path)
            if kind == "directory":  # stays as it is
                self._show(where)
                return
        real = self._place(above)[0]
        self._show(real)
        made.name = posixpath.join(real, name).lstrip("/")
        made.uname = made.gname = ""
        if opener is not None:
            made.type = tarfile.REGTYPE  # whatever it was stored as: a hard link, with holes
        made.pax_headers = {key: value for key, value in info.pax_headers.items() if key.startswith("SCHILY.xattr.")}
        if self._ownership:
            if self._ownership.uid >= 0:
                made.uid, made.gid = self._ownership.uid, self._ownership.gid
            if self._ownership.mode is not None and not made.issym():
                made.mode = self._ownership.mode
        self.members.append((made, opener))

    def _place(self, path: str) -> tuple[str, str, int, int, int]:
        if path not in self._places:
            self._places[path] = self._resolve(path)
        return self._places[path]

    def _show(self, real: str) -> None:
        """A directory of the image, and those above it."""
        if real in self._shown:
            return
        self._shown.add(real)
        if real != "/":
            self._show(posixpath.dirname(real))
        _, kind, mode, uid, gid = self._place(real)
        if kind == "directory":
            info = tarfile.TarInfo("./" if real == "/" else real.lstrip("/"))
            info.type, info.mode, info.uid, info.gid, info.mtime = tarfile.DIRTYPE, mode, uid, gid, int(time.time())
            self.members.append((info, None))


def digest(members: Iterable[Member]) -> str:
    """Of all but times, as docker's cache has it."""
    found = hashlib.sha256()
    for info, opener in members:
        head = (info.name, info.type, info.mode, info.uid, info.gid, info.linkname, info.size, info.pax_headers)
        found.update(repr(head).encode("utf-8", "surrogateescape"))
        if opener is not None:
            with opener() as file:
                while piece := file.read(1 << 20):
                    found.update(piece)
    return found.hexdigest()


def write(members: Iterable[Member], output: IO[bytes]) -> None:
    with tarfile.open(fileobj=output, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for info, opener in members:
            if opener is None:
                archive.addfile(info)
                continue
            with opener() as file:
                archive.addfile(info, file)
