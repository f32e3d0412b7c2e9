# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers read as overlayfs would show them, without a mount: what one of them hides is hidden, links are not followed.

https://docs.kernel.org/filesystems/overlayfs.html. Each directory is opened from its layer's root, below it and
through no link, so that nobody who has written into a layer can lead the reader out of it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..kernel import files
from . import bounds
from .refusal import Changing, Refusal, shown
from .tree import joined

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .tree import Path

OPAQUE = "trusted.overlay.opaque"
UNREADABLE = ("trusted.overlay.redirect", "trusted.overlay.metacopy")
LINKS = 40  # as many as the kernel follows in one path, path_resolution(7)
NAMES = 4_096  # in a path and the links that it leads through; one of PATH_MAX has half of that


@dataclass(frozen=True, slots=True)
class Layer:
    """root: open; shift: which id there is 0, and what is out of the 65,536 from there on is nobody's, unless 0."""

    root: int
    shift: int = 0


@dataclass(frozen=True, slots=True)
class Node:
    """layers: numbers of those that have it, the topmost first; several only of a directory."""

    status: os.stat_result
    layers: tuple[int, ...]

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def is_whiteout(self) -> bool:
        return stat.S_ISCHR(self.status.st_mode) and self.status.st_rdev == 0


class Merge:
    """`layers`, the topmost first, stay the caller's. whiteouts: they are told too, as of a layer looked at alone."""

    def __init__(self, layers: Sequence[Layer], *, whiteouts: bool = False) -> None:
        self.layers = tuple(layers)
        self.tells_whiteouts = whiteouts

    def root(self) -> Node:
        return Node(os.fstat(self.layers[0].root), tuple(range(len(self.layers))))

    def children(self, path: Path, node: Node) -> dict[bytes, Node]:
        """What the directory shows, by name."""
        found: dict[bytes, Node] = {}
        closed: set[bytes] = set()
        for number, opened in self._directories(path, node):
            with os.scandir(opened) as entries:
                for entry in entries:
                    name = os.fsencode(entry.name)
                    self._meet(found, closed, name, Node(entry.stat(follow_symlinks=False), (number,)))
                    if len(found) > bounds.ENTRIES:
                        raise Refusal(f"{shown(joined(path))} has more than {bounds.ENTRIES} entries")
        return {name: each for name, each in found.items() if self.tells_whiteouts or not each.is_whiteout}

    def child(self, path: Path, node: Node, name: bytes) -> Node | None:
        found: dict[bytes, Node] = {}
        closed: set[bytes] = set()
        for number, opened in self._directories(path, node):
            with contextlib.suppress(FileNotFoundError):
                self._meet(found, closed, name, Node(os.stat(name, dir_fd=opened, follow_symlinks=False), (number,)))
        there = found.get(name)
        return None if there is None or there.is_whiteout else there

    def resolve(self, path: bytes) -> tuple[Path, Node | None]:
        """Where an absolute path leads inside, every link followed; None: to nothing, but that is where it would be."""
        wanted, done, links, names = _names(path), list[tuple[bytes, Node]](), 0, 0
        while wanted:
            names += 1
            if names > NAMES:
                raise Refusal(f"{shown(path)} leads through more than {NAMES} names")
            part = wanted.pop(0)
            if part == b"..":
                done[-1:] = []
            if part in (b".", b".."):
                continue
            here = tuple(name for name, _ in done)
            above = done[-1][1] if done else self.root()
            below = self.child(here, above, part) if above.is_directory else None
            if below is None:
                return _lexically((*here, part, *wanted)), None
            if stat.S_ISLNK(below.status.st_mode):
                links += 1
                if links > LINKS:
                    raise Refusal(f"{shown(path)} leads through more than {LINKS} symbolic links")
                target = self.read_link((*here, part), below)
                done = [] if target.startswith(b"/") else done
                wanted = _names(target) + wanted
            else:
                done.append((part, below))
        return tuple(name for name, _ in done), done[-1][1] if done else self.root()

    def read_link(self, path: Path, node: Node) -> bytes:
        above = self._open(path[:-1], node.layers[0], os.O_PATH | os.O_DIRECTORY)
        try:
            return os.readlink(path[-1], dir_fd=above)
        finally:
            os.close(above)

    def open(self, path: Path, node: Node) -> int:
        """The file or directory itself, for reading: what was seen there, or Changing."""
        opened = self._open(path, node.layers[0], os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        there = os.fstat(opened)
        if (there.st_dev, there.st_ino) != (node.status.st_dev, node.status.st_ino):
            os.close(opened)
            raise Changing(f"{shown(joined(path))} is changing while it is read")
        return opened

    # Inside

    def _meet(self, found: dict[bytes, Node], closed: set[bytes], name: bytes, below: Node) -> None:
        """A name in the next lower layer: directories become one, anything else ends what may show through."""
        if name in closed:
            return
        if not below.is_directory:
            closed.add(name)
        if name not in found:
            found[name] = below
        elif below.is_directory:
            found[name] = Node(found[name].status, (*found[name].layers, *below.layers))

    def _directories(self, path: Path, node: Node) -> Iterator[tuple[int, int]]:
        """Those that make the directory up, open in turn: below an opaque one nothing shows."""
        for number in node.layers:
            opened = self._open(path, number, os.O_RDONLY | os.O_DIRECTORY)
            try:
                yield number, opened
                if is_opaque(opened):
                    return
            finally:
                os.close(opened)

    def _open(self, path: Path, number: int, flags: int) -> int:
        try:
            return files.open_beneath(self.layers[number].root, joined(path) or b".", flags | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
                raise Changing(f"{shown(joined(path))} is changing while it is read") from error
            raise Refusal(f"{shown(joined(path))} cannot be read: {error.strerror}") from error


def is_opaque(opened: int) -> bool:
    return OPAQUE in attribute_names(opened) and os.getxattr(opened, OPAQUE) == b"y"


def attribute_names(opened: int) -> list[str]:
    """Refuses what this reader would get wrong: a host may let overlayfs note a rename or a change of mode alone."""
    found = os.listxattr(opened)
    if bad := next((name for name in UNREADABLE if name in found), None):
        raise Refusal(
            f"the host's overlayfs has left {bad} here, which is not understood: redirect_dir and metacopy, parameters "
            "of the kernel module overlay, must be off"
        )
    return found


def _names(path: bytes) -> list[bytes]:
    return [part for part in path.split(b"/") if part]


def _lexically(parts: Sequence[bytes]) -> Path:
    """Where nothing is there is nothing to follow either."""
    found: list[bytes] = []
    for part in parts:
        if part == b"..":
            found[-1:] = []
        elif part != b".":
            found.append(part)
    return tuple(found)
