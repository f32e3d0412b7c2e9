# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages to bytes and back. The only file that touches dbus-next's inner names.

dbus-next 0.2.3 gives the types, the marshaller and the unmarshaller. Its MessageBus is not used: it takes EAGAIN
for a dead bus, leaks the descriptors of messages that nobody handles and receives them without CLOEXEC, and decodes
a body of any size before anybody has asked whether it is wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from dbus_next._private.marshaller import Marshaller
from dbus_next._private.unmarshaller import Unmarshaller
from dbus_next.signature import SignatureTree, Variant
from dbus_next.validators import assert_bus_name_valid, assert_object_path_valid

from .wire import Frame, Malformed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .descriptors import Descriptors

NO_REPLY_EXPECTED = 1
ALLOW_INTERACTIVE_AUTHORIZATION = 4
MESSAGE_MAX = 32 << 20  # dbus-daemon's max_message_size: a longer message costs the connection
SIGNATURES_MAX = 1024

_NAMES = {
    1: "path", 2: "interface", 3: "member", 4: "error_name", 5: "reply_serial",
    6: "destination", 7: "sender", 8: "signature", 9: "descriptors",
}  # fmt: skip
_TYPES = {"path": "o", "reply_serial": "u", "signature": "g", "descriptors": "u"}
_FIELDS = SignatureTree("a(yv)").types[0]


class Kind(IntEnum):
    CALL = 1
    RETURN = 2
    ERROR = 3
    SIGNAL = 4


class Unmarshallable(Exception):
    """A value does not fit its signature."""


class TooLong(Unmarshallable):
    """The message would be too long for the bus."""


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
    """dbus-next lets NUL pass, which the bus daemon answers by closing the connection."""

    def write_single(self, type_: Any, body: object) -> int:
        return self._write_encoded(body) if type(body) is Encoded else int(super().write_single(type_, body))

    def _write_encoded(self, body: Encoded) -> int:
        written = int(self.write_uint32(len(body.content)) + self.align(8))
        self.buffer += body.content
        return written + len(body.content)

    def write_string(self, value: str, type_: object = None) -> int:
        if "\0" in value:
            raise ValueError("a string contains NUL")
        return int(super().write_string(value, type_))


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
        reader = _reader(self.frame.data, self.frame.body)
        return [reader.read_argument(type_) for type_ in SignatureTree._get(self.header.signature).types]


def _reader(data: bytes, offset: int) -> Any:
    reader = Unmarshaller(None)
    reader.buf, reader.endian, reader.offset = bytearray(data), data[0], offset
    return reader


def decode_header(frame: Frame) -> Header:
    data = frame.data
    try:
        fields = _reader(data[: frame.body], 12).read_argument(_FIELDS)
        known = {_NAMES[code]: value.value for code, value in fields if code in _NAMES}
    except Exception as error:
        raise Malformed(f"the header of a message cannot be read: {error!r}") from error
    serial = int.from_bytes(data[8:12], "little" if data[0] == ord("l") else "big")
    return Header(data[1], data[2], serial, **known)


def encode_properties(values: Mapping[str, Variant]) -> Encoded:
    """Raises Unmarshallable."""
    try:
        payload = _Marshaller("a{sv}", [dict(values)])
        payload.marshall()
    except Exception as error:
        raise Unmarshallable(f"a{{sv}} cannot hold the value: {error}") from error
    return Encoded(bytes(payload.buffer[8:]))  # the length and what it is padded with


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


def _encode_header(header: Header, length: int) -> Any:
    if header.path:
        assert_object_path_valid(header.path)
    if header.destination:
        assert_bus_name_valid(header.destination)
    fields = [
        [code, Variant(_TYPES.get(name, "s"), value)]
        for code, name in _NAMES.items()
        if (value := getattr(header, name))
    ]
    writer = _Marshaller("yyyyuua(yv)", [ord("l"), int(header.kind), header.flags, 1, length, header.serial, fields])
    writer.marshall()
    writer.align(8)
    return writer.buffer
