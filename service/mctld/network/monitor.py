# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells when a table of nftables is removed: ours may have been among them."""

from __future__ import annotations

import socket
import struct

# linux/netlink.h, linux/netfilter/nfnetlink.h, nf_tables.h; Python has no names for these
_NETLINK_NETFILTER = 12
_NFNLGRP_NFTABLES = 7
_NFT_MSG_DELTABLE = (10 << 8) | 2  # NFNL_SUBSYS_NFTABLES
_HEADER = struct.Struct("=IHHII")
_RECEIVE_MAX = 1 << 16


class Monitor:
    """A socket that is readable when rules have changed, anybody's."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, _NETLINK_NETFILTER
        )
        self._socket.bind((0, 1 << (_NFNLGRP_NFTABLES - 1)))

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def has_lost_a_table(self) -> bool:
        """Reads what has come. Also true where so much has happened that the kernel could not tell it all."""
        lost = False
        while True:
            try:
                data = self._socket.recv(_RECEIVE_MAX)
            except BlockingIOError:
                return lost
            except OSError:  # ENOBUFS, netlink(7)
                lost = True
                continue
            lost = lost or _tells_of_a_lost_table(data)


def _tells_of_a_lost_table(data: bytes) -> bool:
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, at)
        if kind == _NFT_MSG_DELTABLE:
            return True
        at += (max(length, _HEADER.size) + 3) & ~3
    return False
