# SPDX-License-Identifier: GPL-3.0-or-later
"""A layer on disk as the archive that it was made from, byte for byte."""

from __future__ import annotations

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
        places = self._places()
        flags = os.O_PATH | os.O_DIRECTORY
        roots = {name: files.open_beneath(self._directory, name, flags) for name in (TREE, REPLACED)}
        try:
            for record in self._records():
                if isinstance(record, bytes):
                    yield record
                elif isinstance(record, Content):
                    root, path = next(places)
                    yield from _content(roots[root], path, record)
        finally:
            for root_descriptor in roots.values():
                os.close(root_descriptor)

    def _places(self) -> Iterator[tuple[str, bytes]]:
        """Where each content lies now: what was moved aside later is elsewhere than it was written."""
        contents: list[tuple[str, bytes]] = []
        here: dict[bytes, list[int]] = {}
        for record in self._records():
            if isinstance(record, Content):
                here.setdefault(record.path, []).append(len(contents))
                contents.append((TREE, record.path))
            elif isinstance(record, Moved):
                _move(contents, here, record)
        return iter(contents)

    def _records(self) -> Iterator[skeleton.Record]:
        opened = files.open_beneath(self._directory, SKELETON, os.O_RDONLY)
        with open(opened, "rb") as file:
            yield from skeleton.read(iter(lambda: file.read(PIECE), b""))


def _move(contents: list[tuple[str, bytes]], here: dict[bytes, list[int]], moved: Moved) -> None:
    """The file at the path, or all below it: a directory, which an archive may replace a bounded number of times."""
    gone = [moved.path] if moved.path in here else [p for p in here if p.startswith(moved.path + b"/")]
    for path in gone:
        for number in here.pop(path):
            contents[number] = (REPLACED, b"%d" % moved.number + path[len(moved.path) :])


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
