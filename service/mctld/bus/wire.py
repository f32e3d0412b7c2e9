# SPDX-License-Identifier: GPL-3.0-or-later
"""Cuts the byte stream of a bus connection into messages (D-Bus specification, "Message Format")."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

FIXED = 16  # bytes before the header fields
SPECIFIED_MAX = 128 << 20
ASKED_MAX = 512 << 10  # what a peer may send us unasked: the body of a longer call or signal is never kept
_UNASKED = (1, 4)  # METHOD_CALL, SIGNAL
_LENGTHS = {ord("l"): struct.Struct("<III"), ord("B"): struct.Struct(">III")}


class Malformed(Exception):
    """The bus daemon checks every message; this is no bus daemon."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message. Where it is oversized, `data` ends after the header."""

    data: bytes
    body: int  # where the body begins
    size: int  # of the whole message, in bytes

    @property
    def oversized(self) -> bool:
        return len(self.data) < self.size


class Framer:
    """Bytes in, messages out."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skip = 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        self._buffer += data
        while frame := self._next():
            yield frame

    def _next(self) -> Frame | None:
        self._discard()
        if self._skip or len(self._buffer) < FIXED:
            return None
        body, size = self._lengths()
        keep = body if self._buffer[1] in _UNASKED and size > ASKED_MAX else size
        if len(self._buffer) < keep:
            return None
        frame = Frame(bytes(self._buffer[:keep]), body, size)
        del self._buffer[:keep]
        self._skip = size - keep
        return frame

    def _discard(self) -> None:
        gone = min(self._skip, len(self._buffer))
        del self._buffer[:gone]
        self._skip -= gone

    def _lengths(self) -> tuple[int, int]:
        lengths = _LENGTHS.get(self._buffer[0])
        if lengths is None or self._buffer[3] != 1:
            raise Malformed("a message begins with neither l nor B, or is not of protocol version 1")
        body_length, _, fields_length = lengths.unpack_from(self._buffer, 4)
        body = FIXED + (fields_length + 7 & -8)
        if body + body_length > SPECIFIED_MAX:  # a path alone may be as long as the bus lets a message be
            raise Malformed(f"a message of {body + body_length} bytes is longer than the specification allows")
        return body, body + body_length
