# SPDX-License-Identifier: GPL-3.0-or-later
"""What an archive has beside the contents of files, kept so that the very same bytes can be put together again.

So a layer needs to lie on disk but once, and its digest can be proved at any time. A skeleton is a zlib stream of
records: R, raw bytes; C, some of a file's content; M, the file or directory at a path moved to replaced/NUMBER, since a
later member of the archive took its place.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

from . import bounds
from .refusal import Refusal, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

LEVEL = 1
GATHERED = 64 << 10  # bytes: raw ones that become one record, records that are compressed at once
_RAW, _MOVED = struct.Struct(">cI"), struct.Struct(">cIH")
_CONTENT = struct.Struct(">cQQH")  # offset in the file, bytes, bytes of the path
_RECORD_MAX = 1 << 20


class Content(NamedTuple):
    path: bytes
    offset: int
    size: int


class Moved(NamedTuple):
    path: bytes
    number: int


Record = bytes | Content | Moved


class Writer:
    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._packer = zlib.compressobj(LEVEL)
        self._gathered, self._records = bytearray(), bytearray()
        self._segment_paths = self._replaced_paths = 0

    def raw(self, data: bytes) -> None:
        self._gathered += data
        if len(self._gathered) >= GATHERED:
            self._flush()
            self._pack()

    def content(self, path: bytes, offset: int, size: int) -> None:
        self._segment_paths += len(path)
        if self._segment_paths > bounds.SEGMENT_PATHS:
            raise Refusal(f"the files up to {shown(path)} have too many pieces: {_most(bounds.SEGMENT_PATHS)}")
        self._put(_CONTENT.pack(b"C", offset, size, len(path)) + path)

    def moved(self, path: bytes, number: int) -> None:
        self._replaced_paths += len(path)
        if self._replaced_paths > bounds.REPLACED_PATHS:
            raise Refusal(
                f"the archive replaces too much of its own up to {shown(path)}: {_most(bounds.REPLACED_PATHS)}"
            )
        self._put(_MOVED.pack(b"M", number, len(path)) + path)

    def close(self) -> None:
        self._flush()
        self._pack()
        self._write(self._packer.flush())

    def _put(self, record: bytes) -> None:
        self._flush()
        self._records += record
        if len(self._records) >= GATHERED:
            self._pack()

    def _flush(self) -> None:
        """The raw bytes become records."""
        for at in range(0, len(self._gathered), _RECORD_MAX):
            part = self._gathered[at : at + _RECORD_MAX]
            self._records += _RAW.pack(b"R", len(part))
            self._records += part
        self._gathered.clear()

    def _pack(self) -> None:
        if packed := self._packer.compress(self._records):
            self._write(packed)
        self._records.clear()


def _most(most: int) -> str:
    return f"their paths may have {most} bytes in all"


def read(pieces: Iterable[bytes]) -> Iterator[Record]:
    """Refusal where it is damaged."""
    stream = _Stream(pieces)
    while kind := stream.take(1):
        if kind == b"R":
            (_, size) = _RAW.unpack(kind + stream.whole(_RAW.size - 1))
            yield stream.whole(size)
        elif kind == b"C":
            _, offset, size, length = _CONTENT.unpack(kind + stream.whole(_CONTENT.size - 1))
            yield Content(stream.whole(length), offset, size)
        elif kind == b"M":
            _, number, length = _MOVED.unpack(kind + stream.whole(_MOVED.size - 1))
            yield Moved(stream.whole(length), number)
        else:
            raise Refusal("the skeleton of the layer is damaged")


class _Stream:
    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._unpacker = zlib.decompressobj()
        self._buffer = bytearray()

    def take(self, size: int) -> bytes:
        """Fewer bytes only at the end."""
        while len(self._buffer) < size and not self._unpacker.eof:
            data = self._unpacker.unconsumed_tail or next(self._pieces, b"")
            try:
                piece = self._unpacker.decompress(data, _RECORD_MAX)
            except zlib.error as error:
                raise Refusal(f"the skeleton of the layer is damaged: {error}") from None
            if not data and not piece:
                raise Refusal("the skeleton of the layer is cut off")
            self._buffer += piece
        found = bytes(self._buffer[:size])
        del self._buffer[:size]
        return found

    def whole(self, size: int) -> bytes:
        if size > _RECORD_MAX or len(found := self.take(size)) != size:
            raise Refusal("the skeleton of the layer is damaged")
        return found
