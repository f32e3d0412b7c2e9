# SPDX-License-Identifier: GPL-3.0-or-later
"""D-Bus messages in bytes: what StartTransientUnit and its like need of the D-Bus specification, Message Protocol.

A library for it takes as long to import as the call itself.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
PATH, INTERFACE, MEMBER, ERROR_NAME, REPLY_SERIAL, DESTINATION, SENDER, SIGNATURE = 1, 2, 3, 4, 5, 6, 7, 8
NUMBERS = {"y": ("B", 1), "b": ("I", 4), "n": ("h", 2), "q": ("H", 2), "i": ("i", 4), "u": ("I", 4), "x": ("q", 8),
           "t": ("Q", 8), "d": ("d", 8)}  # fmt: skip
FIXED = 16  # bytes of a message before its header's fields


class Message:
    def __init__(self, kind: int, reply_to: int, fields: dict[int, Any], body: list[Any]) -> None:
        self.kind, self.reply_to, self.fields, self.body = kind, reply_to, fields, body


def first_type(signature: str) -> str:
    """The first complete type."""
    if signature[0] == "a":
        return "a" + first_type(signature[1:])
    if signature[0] not in "({":
        return signature[0]
    depth = 0
    for index, letter in enumerate(signature):
        depth += (letter in "({") - (letter in ")}")
        if depth == 0:
            return signature[: index + 1]
    raise ValueError(signature)


def types(signature: str) -> list[str]:
    found = []
    while signature:
        found.append(first_type(signature))
        signature = signature[len(found[-1]) :]
    return found


def _alignment(kind: str) -> int:
    if kind[0] in NUMBERS:
        return NUMBERS[kind[0]][1]
    if kind[0] in "({":
        return 8
    return {"g": 1, "v": 1}.get(kind[0], 4)


class Writer:
    """Little-endian."""

    def __init__(self) -> None:
        self.data = bytearray()

    def pad(self, alignment: int) -> None:
        self.data += bytes(-len(self.data) % alignment)

    def write(self, kind: str, given: Any) -> None:
        self.pad(_alignment(kind))
        if kind in NUMBERS:
            self.data += struct.pack(f"<{NUMBERS[kind][0]}", given)
        elif kind in ("s", "o", "g"):
            text = given.encode()
            self.data += struct.pack("<B" if kind == "g" else "<I", len(text)) + text + b"\0"
        elif kind == "v":
            inner, held = given
            self.write("g", inner)
            self.write(inner, held)
        elif kind[0] == "a":
            self._array(kind[1:], given)
        else:
            for inner, item in zip(types(kind[1:-1]), given, strict=True):
                self.write(inner, item)

    def _array(self, inner: str, items: Sequence[Any]) -> None:
        position = len(self.data)
        self.data += bytes(4)
        self.pad(_alignment(inner))
        start = len(self.data)
        for item in items:
            self.write(inner, item)
        struct.pack_into("<I", self.data, position, len(self.data) - start)


class Reader:
    def __init__(self, data: bytes, order: str) -> None:
        self._data, self._order, self.position = data, order, 0

    def read(self, kind: str) -> Any:
        self.position += -self.position % _alignment(kind)
        if kind in NUMBERS:
            code, size = NUMBERS[kind]
            (found,) = struct.unpack_from(self._order + code, self._data, self.position)
            self.position += size
            return found
        if kind in ("s", "o", "g"):
            return self._text(self.read("y") if kind == "g" else self.read("u"))
        if kind == "v":
            return self.read(self.read("g"))
        if kind[0] == "a":
            return self._array(kind[1:])
        return [self.read(inner) for inner in types(kind[1:-1])]

    def _text(self, size: int) -> str:
        text = self._data[self.position : self.position + size].decode()
        self.position += size + 1
        return text

    def _array(self, inner: str) -> list[Any]:
        size = self.read("u")
        self.position += -self.position % _alignment(inner)
        end, items = self.position + size, []
        while self.position < end:
            items.append(self.read(inner))
        return items


def call(
    serial: int, destination: str, path: str, interface: str, member: str, signature: str, body: Sequence[Any]
) -> bytes:
    content = Writer()
    for kind, item in zip(types(signature), body, strict=True):
        content.write(kind, item)
    named = [(PATH, ("o", path)), (INTERFACE, ("s", interface)), (MEMBER, ("s", member))]
    named += [(DESTINATION, ("s", destination))] if destination else []
    named += [(SIGNATURE, ("g", signature))] if signature else []
    header = Writer()
    header.data += struct.pack("<cBBBII", b"l", CALL, 0, 1, len(content.data), serial)
    header.write("a(yv)", named)
    header.pad(8)
    return bytes(header.data + content.data)


def size(start: bytes) -> int:
    """Of the whole message, from its first 16 bytes."""
    order = "<" if start[:1] == b"l" else ">"
    body, _, fields = struct.unpack_from(f"{order}III", start, 4)
    return FIXED + int(fields) + -int(fields) % 8 + int(body)


def parse(data: bytes) -> Message:
    order = "<" if data[:1] == b"l" else ">"
    header = Reader(data, order)
    header.position = 12
    fields = dict(header.read("a(yv)"))
    start = header.position + -header.position % 8
    content = Reader(data[start:], order)
    body = [content.read(kind) for kind in types(fields.get(SIGNATURE, ""))]
    return Message(data[1], fields.get(REPLY_SERIAL, 0), fields, body)
