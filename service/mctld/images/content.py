# SPDX-License-Identifier: GPL-3.0-or-later
"""What layers show, or what one of them adds to those below it, as an archive; ids are the container's own."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from . import bounds
from .merge import attribute_names, is_opaque
from .packer import DIRECTORY, FIFO, FILE, LINK, SYMLINK, Member
from .refusal import Refusal, shown
from .tree import joined

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from .merge import Merge, Node
    from .packer import Packer
    from .tree import Path

WHITEOUT, OPAQUE = b".wh.", b".wh..wh..opq"
CAPABILITY = "security.capability"
IDS = 65_536
NOBODY = 65_534
PIECE = 1 << 20
_V3, _V3_BYTES, _V2 = 0x03000000, 24, 0x02000000  # linux/capability.h: VFS_CAP_REVISION_*


class Content:
    """Slow: for a thread. `left_out`: paths of empty files that only serve to show something else there."""

    def __init__(self, merge: Merge, packer: Packer, left_out: Collection[Path] = ()) -> None:
        self._merge = merge
        self._packer = packer
        self._left_out = left_out
        self._links: dict[tuple[int, int, int], bytes] = {}
        self._entries = 0
        self.dropped = 0  # sockets and device nodes, which no layer holds

    def put_all(self) -> int:
        """How many members there are beside the root itself."""
        self._tree((), self._merge.root(), 0)
        self._packer.end()
        return self._entries - 1

    def put_below(self, path: Path, node: Node) -> None:
        """A directory as the archive's root, or a single file under its own name."""
        if node.is_directory:
            self._tree(path, node, len(path))
        else:
            self._member(path, node, path[-1])
        self._packer.end()

    def _tree(self, top: Path, node: Node, base: int) -> None:
        """Directories after the files beside them: a stack, since how deep it goes is for the container to say."""
        pending = [(top, node)]
        while pending:
            path, node = pending.pop()
            self._directory(path, node, joined(path[base:]))
            below = self._merge.children(path, node)
            for name in sorted(below):
                here = (*path, name)
                if below[name].is_directory:
                    pending.append((here, below[name]))
                elif here not in self._left_out or below[name].status.st_size:
                    self._member(here, below[name], joined(here[base:]))

    def _directory(self, path: Path, node: Node, name: bytes) -> None:
        opened = self._merge.open(path, node)
        try:
            self._put(self._described(DIRECTORY, name + b"/" if name else b"./", node, xattrs=_xattrs(opened)))
            if self._merge.tells_whiteouts and is_opaque(opened):
                self._put(Member(FILE, (name + b"/" if name else b"") + OPAQUE))
        finally:
            os.close(opened)

    def _member(self, path: Path, node: Node, name: bytes) -> None:
        mode = node.status.st_mode
        if node.is_whiteout:
            above, slash, last = name.rpartition(b"/")
            self._put(Member(FILE, above + slash + WHITEOUT + last))
        elif stat.S_ISLNK(mode):
            self._put(self._described(SYMLINK, name, node, link=self._merge.read_link(path, node)))
        elif stat.S_ISFIFO(mode):
            self._put(self._described(FIFO, name, node))
        elif stat.S_ISREG(mode):
            self._linked(path, node, name)
        else:
            self.dropped += 1

    def _linked(self, path: Path, node: Node, name: bytes) -> None:
        key = (node.layers[0], node.status.st_dev, node.status.st_ino)
        if key in self._links:
            self._put(self._described(LINK, name, node, link=self._links[key]))
            return
        if node.status.st_nlink > 1:
            self._links[key] = name
        opened = self._merge.open(path, node)
        try:
            self._file(opened, self._described(FILE, name, node, xattrs=_xattrs(opened)))
        finally:
            os.close(opened)

    def _file(self, opened: int, member: Member) -> None:
        size = os.fstat(opened).st_size
        parts = _segments(opened, size)
        self._count(member.name)
        if parts is None:
            parts = [(0, size)] if size else []
            self._packer.put(member, size)
        else:
            self._packer.put_sparse(member, size, parts)
        for offset, length in parts:
            self._copy(opened, offset, length, member.name)
        self._packer.fill(sum(length for _, length in parts))

    def _copy(self, opened: int, offset: int, length: int, name: bytes) -> None:
        while length:
            piece = os.pread(opened, min(length, PIECE), offset)
            if not piece:
                raise Refusal(f"{shown(name)} is changing while it is read")
            self._packer.content(piece)
            offset, length = offset + len(piece), length - len(piece)

    def _put(self, member: Member) -> None:
        self._count(member.name)
        self._packer.put(member)

    def _count(self, name: bytes) -> None:
        self._entries += 1
        if self._entries > bounds.ENTRIES:
            raise Refusal(f"there are more than {bounds.ENTRIES} files at {shown(name)}, the most that one layer holds")

    def _described(
        self, kind: bytes, name: bytes, node: Node, *, link: bytes = b"", xattrs: tuple[tuple[str, bytes], ...] = ()
    ) -> Member:
        if self._merge.tells_whiteouts and name.rstrip(b"/").rpartition(b"/")[2].startswith(WHITEOUT):
            raise Refusal(f"{shown(name)} cannot be in a layer: there a name that begins with .wh. hides another")
        shift, found = self._merge.layers[node.layers[0]].shift, node.status
        uid, gid = inside(found.st_uid, shift), inside(found.st_gid, shift)
        return Member(kind, name, found.st_mode, uid, gid, int(found.st_mtime), link, xattrs)


def inside(number: int, shift: int) -> int:
    """What no id of the container's shows as is nobody's there too."""
    return number - shift if not shift or 0 <= number - shift < IDS else NOBODY


def _xattrs(opened: int) -> tuple[tuple[str, bytes], ...]:
    """File capabilities and what users note, as in what is unpacked."""
    names = [name for name in attribute_names(opened) if name == CAPABILITY or name.startswith("user.")]
    found = ((name, os.getxattr(opened, name)) for name in names if not name.startswith("user.overlay."))
    return tuple((name, _of_any_root(value) if name == CAPABILITY else value) for name, value in found)


def _of_any_root(value: bytes) -> bytes:
    """Capabilities that only one user namespace's root gives, without saying which: capabilities(7), version 3 -> 2."""
    head = int.from_bytes(value[:4], "little")
    if len(value) != _V3_BYTES or head & 0xFF000000 != _V3:
        return value
    return (head & 0x00FFFFFF | _V2).to_bytes(4, "little") + value[4:-4]


def _segments(opened: int, size: int) -> list[tuple[int, int]] | None:
    """Where a file with holes has bytes; None: it has none, or so many that they are not worth it."""
    if os.fstat(opened).st_blocks * 512 >= size:
        return None
    parts = []
    for part in _data(opened, size):
        parts.append(part)
        if len(parts) > bounds.SPARSE_SEGMENTS:
            return None
    return None if parts == [(0, size)] else parts


def _data(opened: int, size: int) -> Iterator[tuple[int, int]]:
    end = 0
    while end < size:
        try:
            start = os.lseek(opened, end, os.SEEK_DATA)
        except OSError:  # ENXIO: nothing but a hole from here on
            return
        end = min(os.lseek(opened, start, os.SEEK_HOLE), size)
        if start < end:
            yield start, end - start
