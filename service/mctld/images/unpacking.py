# SPDX-License-Identifier: GPL-3.0-or-later
"""From an archive to a layer in one pass: decompressed, digested, checked, written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from . import skeleton
from .archive import Archive
from .decompression import Inflow
from .entry import Entry, Kind
from .refusal import Refusal, shown
from .room import check_room
from .source import Source
from .tree import Tree, joined

if TYPE_CHECKING:
    from collections.abc import Callable

WHITEOUT = b".wh."
OPAQUE = b".wh..wh..opq"
SPACE_EVERY = 64 << 20  # bytes written between two looks at what is free
ENTRIES_EVERY = 4096  # the same, of entries


class Unpacked(NamedTuple):
    """diff_id: the digest of the plain archive. size: bytes of all files. opaque: what shall hide lower layers.

    implied: directories that the archive does not name, but what is below them.
    """

    diff_id: str
    size: int
    entries: int
    dropped_devices: int
    has_root: bool
    opaque: tuple[str, ...]
    implied: tuple[str, ...]


class Unpacking:
    """`tree`, `replaced`: open directories; `write_skeleton` takes bytes."""

    def __init__(
        self,
        read: Callable[[int], bytes],
        tree: int,
        replaced: int,
        write_skeleton: Callable[[bytes], object],
        *,
        end_required: bool,
    ) -> None:
        self._source = Source(Inflow(read))
        self._root = tree
        self._skeleton = skeleton.Writer(write_skeleton)
        self._tree = Tree(tree, replaced, self._skeleton.moved)
        self._archive = Archive(self._source, self._skeleton.raw, end_required=end_required)
        self._size = self._since_look = 0

    def run(self) -> Unpacked:
        check_room(self._root)
        entries = 0
        for entry in self._archive:
            self._take(entry)
            entries += 1
            if not entries % ENTRIES_EVERY:
                check_room(self._root)
        if not entries:
            raise Refusal("the archive is empty")
        self._tree.close()
        self._skeleton.close()
        return Unpacked(
            self._source.digest, self._size, entries, self._tree.dropped_devices, self._tree.has_root,
            *(tuple(os.fsdecode(joined(path)) for path in paths) for paths in (self._tree.opaque, self._tree.implied)),
        )  # fmt: skip

    def _take(self, entry: Entry) -> None:
        if WHITEOUT not in joined(entry.path):
            self._make(entry)
        elif entry.path[-1].startswith(WHITEOUT):
            self._hide(entry)
        elif any(part.startswith(WHITEOUT) for part in entry.path):
            raise Refusal(f"{shown(joined(entry.path))} has a whiteout in its path")
        else:
            self._make(entry)

    def _make(self, entry: Entry) -> None:
        match entry.kind:
            case Kind.FILE:
                self._file(entry)
            case Kind.DIRECTORY:
                self._tree.directory(entry)
            case Kind.SYMLINK:
                self._tree.symlink(entry)
            case Kind.LINK:
                self._tree.link(entry)
            case Kind.FIFO:
                self._tree.fifo(entry)
            case Kind.DEVICE:
                self._tree.drop_device(entry)

    def _hide(self, entry: Entry) -> None:
        """https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts"""
        name = entry.path[-1]
        hidden = name.removeprefix(WHITEOUT)
        if entry.kind is not Kind.FILE or entry.size:
            raise Refusal(f"the whiteout {shown(joined(entry.path))} is not an empty file")
        if name == OPAQUE:
            self._tree.hide_all_below(entry.path[:-1])
        elif hidden in (b"", b".", b"..") or hidden.startswith(WHITEOUT):
            raise Refusal(f"{shown(joined(entry.path))} is no whiteout of anything")
        else:
            self._tree.hide((*entry.path[:-1], hidden))

    def _file(self, entry: Entry) -> None:
        descriptor = self._tree.file(entry)
        try:
            end = 0
            for offset, size in entry.segments:
                self._skeleton.content(joined(entry.path), offset, size)
                if offset != end:
                    os.lseek(descriptor, offset, os.SEEK_SET)
                for piece in self._source.pieces(size):
                    _write(descriptor, piece)
                    self._count(len(piece))
                end = offset + size
            if end != entry.size:  # a hole at the end
                os.ftruncate(descriptor, entry.size)
            self._tree.finish(descriptor, entry)
        finally:
            os.close(descriptor)
        self._archive.skip_padding(entry)

    def _count(self, written: int) -> None:
        self._size += written
        self._since_look += written
        if self._since_look > SPACE_EVERY:
            self._since_look = 0
            check_room(self._root)


def _write(descriptor: int, piece: memoryview) -> None:
    while piece:
        piece = piece[os.write(descriptor, piece) :]
