# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages to bytes and back. The only file that touches dbus-next's inner names.

dbus-next 0.2.3 gives the types, the marshaller and the unmarshaller. Its MessageBus is not used: it takes EAGAIN
for a dead bus, leaks the descriptors of messages that nobody handles and receives them without CLOEXEC, and decodes
a body of any size before anybody has asked whether it is wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING, Any, Literal

from dbus_next._private.marshaller import Marshaller
from dbus_next._private.unmarshaller import Unmarshaller
from dbus_next.signature import SignatureTree, Variant
from dbus_next.validators import assert_bus_name_valid, assert_object_path_valid

from .wire import Frame, Malformed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .descriptors import Descriptors

NO_REPLY_EXPECTED = 1
NO_AUTO_START = 2
ALLOW_INTERACTIVE_AUTHORIZATION = 4
MESSAGE_MAX = 32 << 20  # dbus-daemon's max_message_size: a longer message costs the connection
SIGNATURES_MAX = 1024
ENTRIES_MAX = 4096  # properties with their values that are kept as bytes: most containers have the usual value of most
KEPT_TEXT_MAX = 100  # characters: long ones are rarely the same, and anybody could fill our memory with them
KEPT_ELEMENTS_MAX = 8
VALUES_MAX = 65_536  # in a body: what decoding costs is a microsecond or two for each, however few bytes they take

_NAMES = {
    1: "path", 2: "interface", 3: "member", 4: "error_name", 5: "reply_serial",
    6: "destination", 7: "sender", 8: "signature", 9: "descriptors",
}  # fmt: skip
_TYPES = {"path": "o", "reply_serial": "u", "signature": "g", "descriptors": "u"}
_FIXED = Struct("<BBBBIII")
_FIELDS = SignatureTree("a(yv)").types[0]
_NUMBER = b"\1u\0"  # the signature of a variant
_LENGTH_BYTES = {b"\1s\0": 4, b"\1o\0": 4, b"\1g\0": 1}


class Kind(IntEnum):
    CALL = 1
    RETURN = 2
    ERROR = 3
    SIGNAL = 4


class Unmarshallable(Exception):
    """A value does not fit its signature."""


class TooLong(Unmarshallable):
    """The message would be too long for the bus."""


class TooManyValues(Exception):
    """A body that is long only because it is dense."""


class _BoundedCache(dict[str, Any]):
    """dbus-next keeps every signature it has ever seen: anybody could fill our memory with them."""

    def __missing__(self, signature: str) -> Any:
        return SignatureTree(signature)

    def __setitem__(self, signature: str, tree: Any) -> None:
        if len(self) >= SIGNATURES_MAX:
            self.pop(next(iter(self)), None)
        super().__setitem__(signature, tree)


SignatureTree._cache = _BoundedCache()


class Encoded(dict[str, Variant]):
    """A dictionary a{sv} as bytes. Nothing in it depends on where it begins but the padding in front.

    Empty to whoever looks into it; a dictionary, since dbus-next checks values against their signature.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.content = content


class _Marshaller(Marshaller):  # type: ignore[misc]
    """dbus-next lets NUL pass, which the bus daemon answers by closing the connection.

    And each of its marshallers holds its own methods in a dictionary: to make that takes longer than to write what most
    messages hold, and it is a cycle of references that only the collector can end. So ours begins without.
    """

    def __init__(self, signature: str, body: list[Any]) -> None:
        self.signature_tree = SignatureTree._get(signature)
        self.signature_tree.verify(body)
        self.buffer, self.body = bytearray(), body

    def write_single(self, type_: Any, body: object) -> int:
        return self._write_encoded(body) if type(body) is Encoded else int(_WRITERS[type_.token](self, body, type_))

    def _write_encoded(self, body: Encoded) -> int:
        written = int(self.write_uint32(len(body.content)) + self.align(8))
        self.buffer += body.content
        return written + len(body.content)

    def write_string(self, value: str, type_: object = None) -> int:
        if "\0" in value:
            raise ValueError("a string contains NUL")
        return int(super().write_string(value, type_))


_WRITERS = {token: getattr(_Marshaller, known.__name__) for token, known in Marshaller("", []).writers.items()}


@dataclass(frozen=True, slots=True)
class Header:
    """What a message says about itself; fields that are absent are empty."""

    kind: int
    flags: int = 0
    serial: int = 0
    path: str = ""
    interface: str = ""
    member: str = ""
    error_name: str = ""
    reply_serial: int = 0
    destination: str = ""
    sender: str = ""
    signature: str = ""
    descriptors: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """A received message. Its body is decoded only for who wants it."""

    header: Header
    frame: Frame
    fds: Descriptors

    @property
    def fds_lost(self) -> bool:
        """The kernel could not give us all of them: we were out of file descriptors."""
        return len(self.fds) != self.header.descriptors

    def body(self) -> list[Any]:
        """Raises TooManyValues."""
        reader = _BoundedReader(self.frame.data, self.frame.body)
        return [reader.read_argument(type_) for type_ in SignatureTree._get(self.header.signature).types]


class _BoundedReader(Unmarshaller):  # type: ignore[misc]
    """Counts what it makes: 900 KB of empty variants are no long message, but a second of everybody's time.

    Without a dictionary of its own methods, as _Marshaller.
    """

    left = VALUES_MAX

    def __init__(self, data: bytes, offset: int) -> None:
        self.buf, self.endian, self.offset = data, data[0], offset

    def read(self, n: int, prefetch: bool = False) -> int:  # noqa: FBT001, FBT002  as in dbus-next
        """Where the next `n` bytes are. All there will ever be is here already."""
        here = self.offset
        if here + n > len(self.buf):
            raise EOFError("the body is shorter than its signature")
        self.offset = here if prefetch else here + n
        return here

    def read_argument(self, type_: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise TooManyValues(f"the message holds more than {VALUES_MAX} values, the most: ask for less at a time")
        return _READERS[type_.token](self, type_)


_READERS = {token: getattr(_BoundedReader, known.__name__) for token, known in Unmarshaller(None).readers.items()}


def decode_header(frame: Frame) -> Header:
    data = frame.data
    order: Literal["little", "big"] = "little" if data[0] == ord("l") else "big"
    try:
        fields = _usual_fields(data, order) or _fields_of_any_type(frame)
        known = {_NAMES[code]: value for code, value in fields if code in _NAMES}
    except Exception as error:
        raise Malformed(f"the header of a message cannot be read: {error!r}") from error
    return Header(data[1], data[2], int.from_bytes(data[8:12], order), **known)


def _usual_fields(data: bytes, order: Literal["little", "big"]) -> list[tuple[int, Any]]:
    """The a(yv) of each message there is, in a tenth of the time that dbus-next takes; empty if there is a field of
    another type than the known ones have: the specification lets anybody send some that nobody has heard of."""
    found: list[tuple[int, Any]] = []
    position, end = 16, 16 + int.from_bytes(data[12:16], order)
    while position < end:
        code, kind, start = data[position], data[position + 1 : position + 4], position + 4
        if kind == _NUMBER:
            found.append((code, int.from_bytes(data[start : start + 4], order)))
            start += 4
        elif size := _LENGTH_BYTES.get(kind):
            length = int.from_bytes(data[start : start + size], order)
            start += size + length
            found.append((code, data[start - length : start].decode()))
            start += 1  # NUL
        else:
            return []
        if start > end:
            raise ValueError("a field is longer than the header")
        position = start + 7 & -8
    return found


def _fields_of_any_type(frame: Frame) -> list[tuple[int, Any]]:
    fields = _BoundedReader(frame.data[: frame.body], 12).read_argument(_FIELDS)
    return [(code, value.value) for code, value in fields]


def encode_properties(values: Iterable[tuple[str, str, Any]]) -> Encoded:
    """From names, types and values. Raises Unmarshallable."""
    content = bytearray()
    for name, type_, value in values:
        try:
            entry = _entry(name, type_, value)
        except Exception as error:
            raise Unmarshallable(f"{name} of type {type_!r} cannot hold the value: {error}") from error
        content += bytes(-len(content) % 8)
        content += entry
    return Encoded(bytes(content))


def _entry(name: str, type_: str, value: Any) -> bytes:
    """Of a{sv}: each begins at a multiple of 8, so its bytes are the same wherever it stands."""
    if _is_small(value):
        return _kept_entry(name, type_, value)
    if isinstance(value, list) and len(value) <= KEPT_ELEMENTS_MAX and all(map(_is_small, value)):
        return _kept_entry(name, type_, tuple(value))
    return _kept_entry(name, type_, None) if value == {} else _new_entry(name, type_, value)


def _is_small(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and len(value) <= KEPT_TEXT_MAX)


@lru_cache(ENTRIES_MAX)
def _kept_entry(name: str, type_: str, value: int | str | tuple[int | str, ...] | None) -> bytes:
    """None: a dictionary, with nothing in it."""
    if value is None:
        return _new_entry(name, type_, {})
    return _new_entry(name, type_, list(value) if isinstance(value, tuple) else value)


def _new_entry(name: str, type_: str, value: Any) -> bytes:
    payload = _Marshaller("a{sv}", [{name: Variant(type_, value)}])
    payload.marshall()
    return bytes(payload.buffer[8:])  # the length and what it is padded with


def encode(header: Header, body: Sequence[object]) -> bytes:
    """Raises Unmarshallable, and never writes what would cost us the connection."""
    try:
        payload = _Marshaller(header.signature, list(body))
        payload.marshall()
        data = bytes(_encode_header(header, len(payload.buffer)) + payload.buffer)
    except Exception as error:
        raise Unmarshallable(f"{header.signature!r} cannot hold the value: {error}") from error
    if len(data) > MESSAGE_MAX:
        raise TooLong(f"the message would have {len(data)} bytes; the bus takes {MESSAGE_MAX}")
    return data


def _encode_header(header: Header, length: int) -> bytes:
    """By hand, as _usual_fields."""
    if header.path:
        assert_object_path_valid(header.path)
    if header.destination:
        assert_bus_name_valid(header.destination)
    fields = bytearray()
    for code, name in _NAMES.items():
        if value := getattr(header, name):
            fields += bytes(-len(fields) % 8) + _encode_field(code, _TYPES.get(name, "s"), value)
    fixed = _FIXED.pack(ord("l"), header.kind, header.flags, 1, length, header.serial, len(fields))
    return fixed + fields + bytes(-len(fields) % 8)


def _encode_field(code: int, kind: str, value: int | str) -> bytes:
    begin = bytes((code, 1, ord(kind), 0))
    if isinstance(value, int):
        return begin + value.to_bytes(4, "little")
    text = value.encode()
    if 0 in text:
        raise ValueError("a string contains NUL")
    return begin + len(text).to_bytes(1 if kind == "g" else 4, "little") + text + b"\0"
