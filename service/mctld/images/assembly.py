# SPDX-License-Identifier: GPL-3.0-or-later
"""A layer on disk as the archive that it was made from, byte for byte."""

from __future__ import annotations

import bisect
import hashlib
import os
from typing import TYPE_CHECKING

from ..kernel import files
from . import skeleton
from .child import REPLACED, SKELETON, TREE
from .refusal import Refusal, shown
from .skeleton import Content, Moved

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE = 1 << 20


class Assembly:
    """Of the layer in an open directory. Slow: for a thread."""

    def __init__(self, directory: int) -> None:
        self._directory = directory

    def size(self) -> int:
        """Bytes of the archive."""
        return sum(r.size if isinstance(r, Content) else len(r) for r in self._records() if not isinstance(r, Moved))

    def digest(self) -> str:
        """The layer's own, if all of its files have the content that they came with."""
        found = hashlib.sha256()
        for piece in self:
            found.update(piece)
        return f"sha256:{found.hexdigest()}"

    def __iter__(self) -> Iterator[bytes]:
        """Refusal or OSError where the layer is not what it was."""
        moves = self._moves()
        flags = os.O_PATH | os.O_DIRECTORY
        roots = {name: files.open_beneath(self._directory, name, flags) for name in (TREE, REPLACED)}
        try:
            for number, record in enumerate(self._records()):
                if isinstance(record, bytes):
                    yield record
                elif isinstance(record, Content):
                    root, path = moves.place(record.path, number)
                    yield from _content(roots[root], path, record)
        finally:
            for root_descriptor in roots.values():
                os.close(root_descriptor)

    def _moves(self) -> _Moves:
        found = _Moves()
        for number, record in enumerate(self._records()):
            if isinstance(record, Moved):
                found.add(number, record)
        return found

    def _records(self) -> Iterator[skeleton.Record]:
        opened = files.open_beneath(self._directory, SKELETON, os.O_RDONLY)
        with open(opened, "rb") as file:
            yield from skeleton.read(iter(lambda: file.read(PIECE), b""))


class _Moves:
    """Where a content lies now: what was moved aside later is elsewhere than it was written.

    Only moves are remembered, which are few: contents are as many as the pieces of all sparse files.
    """

    def __init__(self) -> None:
        self._of: dict[bytes, list[tuple[int, int]]] = {}  # by path: which record it is, and where to

    def add(self, record: int, moved: Moved) -> None:
        self._of.setdefault(moved.path, []).append((record, moved.number))

    def place(self, path: bytes, record: int) -> tuple[str, bytes]:
        """Of what that record has written: its own move or that of a directory above, whichever came first."""
        first: tuple[int, int, int] | None = None
        for length in _lengths(path) if self._of else ():
            moves = self._of.get(path[:length], [])
            at = bisect.bisect(moves, (record, 0))
            if at < len(moves) and (first is None or moves[at][0] < first[0]):
                first = (*moves[at], length)
        return (TREE, path) if first is None else (REPLACED, b"%d" % first[1] + path[first[2] :])


def _lengths(path: bytes) -> Iterator[int]:
    """Of the path and of those of the directories above."""
    length = len(path)
    while length > 0:
        yield length
        length = path.rfind(b"/", 0, length)


def _content(root: int, path: bytes, record: Content) -> Iterator[bytes]:
    descriptor = files.open_beneath(root, path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        offset, left = record.offset, record.size
        while left:
            piece = os.pread(descriptor, min(left, PIECE), offset)
            if not piece:
                raise Refusal(f"{shown(path)} is shorter than it was")
            yield piece
            offset += len(piece)
            left -= len(piece)
    finally:
        os.close(descriptor)
