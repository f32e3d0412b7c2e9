# SPDX-License-Identifier: GPL-3.0-or-later
"""A stream of plain, gzip, xz or zstd bytes as plain ones, a bounded piece at a time."""

from __future__ import annotations

import lzma
import zlib
from typing import TYPE_CHECKING

from . import bounds, zstd
from .refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PIECE = 1 << 20
SLICE = 1 << 14  # bytes of input at once, to begin with
SLICE_MAX = 1 << 18
GZIP, XZ, ZSTD, BZIP2 = b"\x1f\x8b", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"BZh"
GZIP_WINDOW = 16 + zlib.MAX_WBITS


class Inflow:
    """Iterating gives the plain bytes; `taken` counts those that came in."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self.taken = 0
        self.given = 0

    def __iter__(self) -> Iterator[bytes]:
        first = self._more()
        while first and len(first) < len(XZ):  # a pipe may give single bytes
            more = self._more()
            if not more:
                break
            first += more
        for piece in _decoder(first)(first, self._more):
            self.given += len(piece)
            self._check()
            yield piece

    def _more(self) -> bytes:
        data = self._read(PIECE)
        self.taken += len(data)
        return data

    def _check(self) -> None:
        if self.given > bounds.LAYER_BYTES:
            raise Refusal(f"the archive holds more than {bounds.LAYER_BYTES} bytes")
        if self.given > bounds.RATIO_FREE and self.given > bounds.RATIO * self.taken:
            raise Refusal(
                f"{self.taken} compressed bytes have become {self.given}, "
                f"more than {bounds.RATIO} times as many: it looks like a decompression bomb"
            )


def _decoder(first: bytes) -> Callable[[bytes, Callable[[], bytes]], Iterator[bytes]]:
    if first.startswith(GZIP):
        return _gzip
    if first.startswith(XZ):
        return _xz
    if first.startswith(ZSTD):
        return _zstd
    if first.startswith(BZIP2):
        raise Refusal("the archive is compressed by bzip2: use gzip, zstd or xz")
    return _plain


def _plain(first: bytes, more: Callable[[], bytes]) -> Iterator[bytes]:
    while first:
        yield first
        first = more()


class _Slices:
    """Of what is there, then of what `more` gives: small ones at the beginning of a gzip or xz stream, then larger.

    What follows a stream in its last slice is copied, and 20 bytes make one: no copy is much larger than the stream.
    """

    def __init__(self, data: bytes, more: Callable[[], bytes]) -> None:
        self._data, self._more = data, more
        self._at, self._size = 0, SLICE

    def begin_anew(self, unused: int) -> None:
        """A stream has ended, with so much of the last slice left."""
        self._at -= unused
        self._size = SLICE

    def next(self) -> bytes:
        if self._at >= len(self._data):
            self._data, self._at = self._more(), 0
        begin, self._at = self._at, min(self._at + self._size, len(self._data))
        self._size = min(2 * self._size, SLICE_MAX)
        return self._data[begin : self._at]

    def next_but_zeros(self) -> bytes:
        while data := self.next():
            if data := data.lstrip(b"\0"):
                return data
        return b""


def _gzip(data: bytes, more: Callable[[], bytes]) -> Iterator[bytes]:
    """Members one after the other: eStargz and pigz make many. Zeros may follow them, gzip(1)."""
    slices = _Slices(data, more)
    data = slices.next()
    member = zlib.decompressobj(GZIP_WINDOW)
    while True:
        try:
            piece = member.decompress(data, PIECE)
        except zlib.error as error:
            raise Refusal(f"the gzip data is damaged: {error}") from None
        if piece:
            yield piece
        data = member.unconsumed_tail
        if member.eof:
            slices.begin_anew(len(member.unused_data))
            if not (data := slices.next_but_zeros()):
                return
            member = zlib.decompressobj(GZIP_WINDOW)
        elif not data and not piece and not (data := slices.next()):
            raise Refusal("the gzip data is cut off")


def _xz(data: bytes, more: Callable[[], bytes]) -> Iterator[bytes]:
    slices = _Slices(data, more)
    data = slices.next()
    stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=bounds.WINDOW)
    while True:
        try:
            piece = stream.decompress(data, PIECE)
        except lzma.LZMAError as error:
            raise Refusal(f"the xz data is damaged, or needs too much memory: {error}") from None
        if piece:
            yield piece
        data = b""
        if stream.eof:
            slices.begin_anew(len(stream.unused_data))
            if not (data := slices.next_but_zeros()):
                return
            stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=bounds.WINDOW)
        elif stream.needs_input and not (data := slices.next()):
            raise Refusal("the xz data is cut off")


def _zstd(data: bytes, more: Callable[[], bytes]) -> Iterator[bytes]:
    stream = zstd.Decompressor()
    while data:
        stream.feed(data)
        piece = b""
        while not stream.is_hungry or len(piece) == zstd.OUTPUT:
            if piece := stream.take():
                yield piece
        data = more()
    if not stream.at_end:
        raise Refusal("the zstd data is cut off")
