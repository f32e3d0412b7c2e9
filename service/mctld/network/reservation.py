# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets that hold published ports: translation would take them away from whoever listens on the host unawares.

Nobody listens on them, so that without our rules a connection is refused instead of being left to hang.
"""

from __future__ import annotations

import errno
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..ports import Port

_KINDS = {
    "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}
_NOT_HERE = (errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT, errno.ESOCKTNOSUPPORT)


def reserve(ports: Iterable[Port]) -> list[socket.socket]:
    """All or none. Raises OSError with NUMBER/PROTOCOL as its filename: EADDRINUSE where the host has that port."""
    held: list[socket.socket] = []
    try:
        for port in ports:
            for number in range(port.host, port.host + port.count):
                for family in _families(port):
                    held += _bound(family, port, number)
    except OSError:
        release(held)
        raise
    return held


def release(held: list[socket.socket]) -> None:
    for each in held:
        each.close()


def numbered(port: Port) -> Port:
    """With a number on the host, where that was left to us."""
    return port if port.host else replace(port, host=choose(port))


def choose(port: Port) -> int:
    """A port that is free in all families just now."""
    for _ in range(64):
        with _open(_families(port)[0], port.protocol) as first:
            first.bind((port.address, 0))
            number: int = first.getsockname()[1]
        try:
            release([each for family in _families(port) for each in _bound(family, port, number)])
        except OSError:
            continue
        return number
    raise OSError(errno.EADDRINUSE, "no free port was found")


def _families(port: Port) -> list[socket.AddressFamily]:
    if port.bound is None:
        return [socket.AF_INET, socket.AF_INET6]
    return [socket.AF_INET if port.bound.version == 4 else socket.AF_INET6]


def _bound(family: socket.AddressFamily, port: Port, number: int) -> list[socket.socket]:
    """Nothing where the kernel does not know the family or the protocol: then nobody can have the port either."""
    try:
        return [_try_to_bind(family, port, number, reuse=False)]
    except OSError as error:
        if error.errno in _NOT_HERE:
            return []
        if error.errno != errno.EADDRINUSE or port.protocol != "tcp":
            raise OSError(error.errno, error.strerror, f"{number}/{port.protocol}") from None
    try:  # connections that have ended (TIME_WAIT) are in nobody's way
        return [_try_to_bind(family, port, number, reuse=True)]
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"{number}/{port.protocol}") from None


def _try_to_bind(family: socket.AddressFamily, port: Port, number: int, *, reuse: bool) -> socket.socket:
    made = _open(family, port.protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        made.bind((port.address, number))
    except OSError:
        made.close()
        raise
    return made


def _open(family: socket.AddressFamily, protocol: str) -> socket.socket:
    kind, number = _KINDS[protocol]
    made = socket.socket(family, kind | socket.SOCK_CLOEXEC, number)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return made
