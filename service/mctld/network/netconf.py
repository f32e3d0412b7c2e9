# SPDX-License-Identifier: GPL-3.0-or-later
"""News that the host passes packets on no longer: whoever sets sysctls may switch that off under containers."""

from __future__ import annotations

import socket
import struct

from .netlink import attributes

# linux/rtnetlink.h, linux/netconf.h; Python has no names for these
_RTNLGRP_IPV4_NETCONF, _RTNLGRP_IPV6_NETCONF = 24, 25
_RTM_NEWNETCONF = 80
_NETCONFA_IFINDEX, _NETCONFA_FORWARDING = 1, 2
_NETCONFA_IFINDEX_ALL, _OFF = b"\xff\xff\xff\xff", bytes(4)
_HEADER = struct.Struct("=IHHII")
_FAMILY_SIZE = 4  # struct netconfmsg, aligned
_RECEIVE_MAX = 1 << 16


class Netconf:
    """A socket that is readable when such a setting has changed, also an interface's. For one network namespace."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
        )
        self._socket.bind((0, 1 << (_RTNLGRP_IPV4_NETCONF - 1) | 1 << (_RTNLGRP_IPV6_NETCONF - 1)))

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def has_closed(self) -> bool:
        """Reads what has come. Also true where so much has happened that the kernel could not tell it all."""
        closed = False
        while True:
            try:
                data = self._socket.recv(_RECEIVE_MAX)
            except BlockingIOError:
                return closed
            except OSError:  # ENOBUFS, netlink(7)
                closed = True
                continue
            closed = closed or _tells_of_an_end(data)


def _tells_of_an_end(data: bytes) -> bool:
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, at)
        if kind == _RTM_NEWNETCONF:
            found = attributes(data[at : at + length], _HEADER.size + _FAMILY_SIZE)
            whole = found.get(_NETCONFA_IFINDEX) == _NETCONFA_IFINDEX_ALL
            if whole and found.get(_NETCONFA_FORWARDING) == _OFF:
                return True
        at += (max(length, _HEADER.size) + 3) & ~3
    return False
