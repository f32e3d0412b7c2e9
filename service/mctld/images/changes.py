# SPDX-License-Identifier: GPL-3.0-or-later
"""What the topmost layer does to those below it, path by path: added, changed, deleted."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from . import bounds
from .content import inside
from .merge import is_opaque
from .refusal import Changing, Refusal, shown
from .tree import joined

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from .merge import Merge, Node
    from .tree import Path

ADDED, CHANGED, DELETED = b"A", b"C", b"D"
Change = tuple[bytes, "Path"]
Found = tuple["Path", "Node | None", "Node | None", bool]  # there, below, and whether nothing shows through


class Changes:
    """Slow: for a thread. `upper` is one layer alone, which tells its whiteouts; `left_out`: paths that only serve to
    show something else there, as long as the file is empty, and nothing is in the directory but such ones.

    A directory is changed where its owner or mode is, or where anything in it is listed. What disappears while it is
    looked at is not listed.
    """

    def __init__(self, upper: Merge, below: Merge, left_out: Collection[Path] = ()) -> None:
        self._upper = upper
        self._below = below
        self._left_out = left_out
        self._last: Path = ()
        self._silent: set[Path] = set()  # directories that are new, and not told before something in them is
        self._met = 0

    def __iter__(self) -> Iterator[Change]:
        """In the order of their paths: a stack, since how deep it goes is for the container to say."""
        pending: list[Found] = [((), self._upper.root(), self._below.root(), False)]
        while pending:
            path, node, under, closed = pending.pop()
            self._count(path)
            yield from self._change(path, node, under)
            if node is not None and node.is_directory:
                pending += reversed(self._inside(path, node, under, closed=closed))

    def _change(self, path: Path, node: Node | None, under: Node | None) -> Iterator[Change]:
        if node is None or node.is_whiteout:
            if under is not None:
                yield from self._told(DELETED, path)
        elif path in self._left_out and node.is_directory and under is None:
            self._silent.add(path)
        elif path in self._left_out and not node.is_directory and not node.status.st_size:
            return
        elif under is None:
            yield from self._told(ADDED, path)
        elif path and not (node.is_directory and under.is_directory and self._same(node, under)):
            yield from self._told(CHANGED, path)

    def _inside(self, path: Path, node: Node, under: Node | None, *, closed: bool) -> list[Found]:
        """What the directory holds itself, and what it hides because it is opaque, by name."""
        try:
            closed = closed or self._is_opaque(path, node)
            there = self._upper.children(path, node)
            below = self._below.children(path, under) if under is not None and under.is_directory else {}
        except Changing:
            return []
        names = there.keys() | below.keys() if closed else there.keys()
        return [((*path, name), there.get(name), below.get(name), closed) for name in sorted(names)]

    def _told(self, kind: bytes, path: Path) -> Iterator[Change]:
        """With the directories above it that have not been told yet."""
        shared = len(os.path.commonprefix([path[:-1], self._last]))
        for depth in range(shared + 1, len(path)):
            yield ADDED if path[:depth] in self._silent else CHANGED, path[:depth]
        self._last = path
        yield kind, path

    def _same(self, node: Node, under: Node) -> bool:
        return _seen(self._upper, node) == _seen(self._below, under)

    def _is_opaque(self, path: Path, node: Node) -> bool:
        opened = self._upper.open(path, node)
        try:
            return is_opaque(opened)
        finally:
            os.close(opened)

    def _count(self, path: Path) -> None:
        self._met += 1
        if self._met > bounds.ENTRIES:
            raise Refusal(f"more than {bounds.ENTRIES} files have changed at {shown(joined(path))}: that is not listed")


def _seen(merge: Merge, node: Node) -> tuple[int, int, int]:
    shift, found = merge.layers[node.layers[0]].shift, node.status
    return stat.S_IMODE(found.st_mode), inside(found.st_uid, shift), inside(found.st_gid, shift)
