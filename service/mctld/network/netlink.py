# SPDX-License-Identifier: GPL-3.0-or-later
"""A socket of rtnetlink(7), or of another protocol of netlink(7): many requests in one message, one answer to each.

It stays in the network namespace in which it was opened, whatever its thread does later.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
from typing import TYPE_CHECKING

from . import messages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .messages import Request

# linux/netlink.h; Python has no names for these
SOL_NETLINK, NETLINK_CAP_ACK, NETLINK_EXT_ACK = 270, 10, 11
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_MULTI, NLM_F_CAPPED, NLM_F_ACK_TLVS = 0x2, 0x100, 0x200
NLMSGERR_ATTR_MSG = 1
NLA_TYPE_MASK = 0x3FFF

RECEIVE_MAX = 1 << 18
TIMEOUT = 30.0  # seconds; the kernel answers while it is asked, so this is a kernel in trouble

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")


class Netlink:
    """Threads may share it: one exchange after the other."""

    def __init__(self, protocol: int = socket.NETLINK_ROUTE) -> None:
        self._lock = threading.Lock()
        self._sequence = 0
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        self._socket.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self._socket.settimeout(TIMEOUT)
        self._socket.bind((0, 0))

    def do(self, *requests: Request) -> None:
        """One after the other; a failure does not keep the kernel from the rest. Raises the first."""
        with self._lock:
            waiting = dict(zip(self._send(requests, messages.ACK), requests, strict=True))
            failures = []
            while waiting:
                for _, sequence, body in self._receive():
                    request = waiting.pop(sequence, None)
                    if request and (failure := _failure(request, body)):
                        failures.append(failure)
        if failures:
            raise failures[0]

    def ask(self, request: Request) -> list[bytes]:
        """The bodies of the answers."""
        with self._lock:
            (asked,) = self._send([request], 0 if request.flags & messages.ROOT_AND_MATCH else messages.ACK)
            answers = []
            while True:
                for kind, sequence, body in self._receive():
                    if sequence != asked:
                        continue
                    if kind not in (NLMSG_ERROR, NLMSG_DONE):
                        answers.append(body)
                    elif failure := _failure(request, body):
                        raise failure
                    else:
                        return answers

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, requests: tuple[Request, ...] | list[Request], flags: int) -> list[int]:
        """Their sequence numbers."""
        parts, numbers = [], []
        for request in requests:
            self._sequence = self._sequence % 0xFFFFFFFF + 1
            numbers.append(self._sequence)
            length = _HEADER.size + len(request.body)
            parts.append(_HEADER.pack(length, request.type, request.flags | flags, self._sequence, 0))
            parts.append(request.body.ljust(_aligned(len(request.body)), b"\0"))
        self._socket.sendto(b"".join(parts), (0, 0))
        return numbers

    def _receive(self) -> Iterator[tuple[int, int, bytes]]:
        """Type, sequence number and body of each message of a datagram."""
        data = self._socket.recv(RECEIVE_MAX)
        at = 0
        while at + _HEADER.size <= len(data):
            length, kind, flags, sequence, _ = _HEADER.unpack_from(data, at)
            body = data[at + _HEADER.size : at + length]
            yield kind, sequence, body if kind != NLMSG_ERROR else _with_flags(flags, body)
            at += _aligned(max(length, _HEADER.size))


def attributes(body: bytes, at: int) -> dict[int, bytes]:
    """What follows the fixed part of a body; the last of a kind counts."""
    found = {}
    while at + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        if length < _ATTRIBUTE.size:
            break
        found[kind & NLA_TYPE_MASK] = body[at + _ATTRIBUTE.size : at + length]
        at += _aligned(length)
    return found


def _with_flags(flags: int, body: bytes) -> bytes:
    """Without the kernel's own words the body is the error number and the head of the request, no more."""
    return body if flags & NLM_F_ACK_TLVS else body[: 4 + _HEADER.size]


def _failure(request: Request, body: bytes) -> OSError | None:
    number = -int.from_bytes(body[:4], sys.byteorder, signed=True)
    if not number:
        return None
    said = attributes(body, 4 + _HEADER.size).get(NLMSGERR_ATTR_MSG, b"").rstrip(b"\0").decode(errors="replace")
    text = f"{os.strerror(number)} ({said})" if said else os.strerror(number)
    return OSError(number, f"could not {request.does}: {text}")


def _aligned(length: int) -> int:
    return (length + 3) & ~3


