# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of DNS, RFC 1035 section 4: a question is read, an answer written, nothing else of one looked at."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ipaddress import IPv4Address, IPv6Address

A, PTR, AAAA, ANY = 1, 12, 28, 255
IN = 1
NO_ERROR, FORMAT_ERROR, SERVER_FAILURE, NO_SUCH_NAME, NOT_IMPLEMENTED, REFUSED = range(6)

UDP_MAX = 512  # without EDNS, section 4.2.1
STREAM_MAX = 65_535
TTL = 5  # seconds: containers come and go
NAME_MAX = 255
LABEL_MAX = 63

_HEADER = struct.Struct("!HHHHHH")
_TYPE_AND_CLASS = struct.Struct("!HH")
_RECORD = struct.Struct("!HHHIH")
_RESPONSE, _AUTHORITATIVE, _TRUNCATED, _WANTED, _AVAILABLE = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
_OPERATION = 0x7800
_NAME_OF_QUESTION = 0xC000 | _HEADER.size  # a pointer, section 4.1.4


@dataclass(frozen=True, slots=True)
class Question:
    """`asked`: its bytes, as the answer has to repeat them. `name`: in small letters, without the last dot."""

    identity: int
    flags: int
    name: str
    kind: int
    asked: bytes

    @property
    def is_address(self) -> bool:
        return self.kind in (A, AAAA)

    @property
    def reversed(self) -> IPv4Address | IPv6Address | None:
        """The address whose name is asked for, sections 3.5 and RFC 3596 2.5."""
        labels = self.name.split(".")
        try:
            if self.kind == PTR and self.name.endswith(".in-addr.arpa") and len(labels) == 6:
                return ipaddress.IPv4Address(".".join(reversed(labels[:4])))
            if self.kind == PTR and self.name.endswith(".ip6.arpa") and len(labels) == 34:
                return ipaddress.IPv6Address(int("".join(reversed(labels[:32])), 16))
        except ValueError:
            pass
        return None


class Malformed(ValueError):
    """Not a question that could be answered. `identity` is None where not even that could be read."""

    def __init__(self, identity: int | None, code: int) -> None:
        super().__init__(f"code {code}")
        self.identity, self.code = identity, code


def question(data: bytes) -> Question:
    """Of a query with exactly one question, as all are. Raises Malformed."""
    if len(data) < _HEADER.size:
        raise Malformed(None, FORMAT_ERROR)
    identity, flags, count, *_ = _HEADER.unpack_from(data)
    if flags & _RESPONSE:  # an answer to nobody's question: answering it could go on for ever
        raise Malformed(None, FORMAT_ERROR)
    if flags & _OPERATION:
        raise Malformed(identity, NOT_IMPLEMENTED)
    if count != 1:
        raise Malformed(identity, FORMAT_ERROR)
    name, at = _name(data, identity)
    if at + _TYPE_AND_CLASS.size > len(data):
        raise Malformed(identity, FORMAT_ERROR)
    kind, family = _TYPE_AND_CLASS.unpack_from(data, at)
    if family not in (IN, ANY):
        raise Malformed(identity, NOT_IMPLEMENTED)
    return Question(identity, flags, name, kind, data[_HEADER.size : at + _TYPE_AND_CLASS.size])


def answer(question: Question, found: Sequence[IPv4Address | IPv6Address | str], limit: int) -> bytes:
    """Addresses, or names; with none of them: the name exists, but has no such record."""
    records = [_record(value) for value in found]
    kept, size = 0, _HEADER.size + len(question.asked)
    for record in records:
        size += len(record)
        if size > limit:
            break
        kept += 1
    flags = _AUTHORITATIVE | (_TRUNCATED if kept < len(records) else 0)
    return _head(question, flags, NO_ERROR, kept) + b"".join(records[:kept])


def refusal(question: Question, code: int) -> bytes:
    return _head(question, 0, code, 0)


def malformed(error: Malformed) -> bytes:
    """Empty where there is nobody to be told."""
    if error.identity is None:
        return b""
    return _HEADER.pack(error.identity, _RESPONSE | error.code, 0, 0, 0, 0)


def with_identity(data: bytes, identity: int) -> bytes:
    return identity.to_bytes(2, "big") + data[2:]


def is_answer_to(data: bytes, identity: int, asked: bytes) -> bool:
    """The number and the question are what tells a forged one, RFC 5452."""
    if len(data) < _HEADER.size + len(asked):
        return False
    found, flags, count, *_ = _HEADER.unpack_from(data)
    repeated = data[_HEADER.size : _HEADER.size + len(asked)]
    return found == identity and bool(flags & _RESPONSE) and count == 1 and repeated.lower() == asked.lower()


def _name(data: bytes, identity: int) -> tuple[str, int]:
    """A question's name is never compressed. A dot inside a label would be mistaken for its end."""
    labels, at = [], _HEADER.size
    while at < len(data) and (length := data[at]):
        label = data[at + 1 : at + 1 + length]
        if length > LABEL_MAX or len(label) < length or not label.isascii() or b"." in label:
            raise Malformed(identity, FORMAT_ERROR)
        labels.append(label.decode().lower())
        at += 1 + length
        if at - _HEADER.size > NAME_MAX:
            raise Malformed(identity, FORMAT_ERROR)
    if at >= len(data):
        raise Malformed(identity, FORMAT_ERROR)
    return ".".join(labels), at + 1


def _head(question: Question, flags: int, code: int, count: int) -> bytes:
    flags |= _RESPONSE | _AVAILABLE | (question.flags & _WANTED) | code
    return _HEADER.pack(question.identity, flags, 1, count, 0, 0) + question.asked


def _record(value: IPv4Address | IPv6Address | str) -> bytes:
    if isinstance(value, str):
        kind, data = PTR, b"".join(bytes([len(part)]) + part.encode() for part in value.split(".")) + b"\0"
    else:
        kind, data = A if value.version == 4 else AAAA, value.packed
    return _RECORD.pack(_NAME_OF_QUESTION, kind, IN, TTL, len(data)) + data
