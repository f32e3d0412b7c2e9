# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces as the kernel tells of them."""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import messages
from .netlink import attributes

if TYPE_CHECKING:
    from .netlink import Netlink

# linux/if_link.h
_IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_INFO_KIND = 3, 4, 10, 18, 1
_IFLA_LINK_NETNSID = 37
_ARPHRD_ETHER = 1  # linux/if_arp.h
_LINK = struct.Struct("=BxHiII")  # struct ifinfomsg


@dataclass(frozen=True, slots=True)
class Link:
    """An interface as the kernel tells of it. master: the bridge that it is a port of, else 0.

    reaches_out: what it is made on, or its peer, is in another network namespace.
    """

    index: int
    name: str
    up: bool
    mtu: int
    master: int
    kind: str
    is_ethernet: bool
    reaches_out: bool

    @classmethod
    def parse(cls, body: bytes) -> Link:
        _, hardware, index, flags, _ = _LINK.unpack_from(body)
        found = attributes(body, _LINK.size)
        kind = attributes(found.get(_IFLA_LINKINFO, b""), 0).get(_IFLA_INFO_KIND, b"")
        number = {key: struct.unpack("=I", found.get(key, bytes(4)))[0] for key in (_IFLA_MTU, _IFLA_MASTER)}
        return cls(
            index, _text(found.get(_IFLA_IFNAME, b"")), bool(flags & messages.IFF_UP),
            number[_IFLA_MTU], number[_IFLA_MASTER], _text(kind),
            hardware == _ARPHRD_ETHER, _IFLA_LINK_NETNSID in found,
        )  # fmt: skip


def find_link(netlink: Netlink, name: str) -> Link | None:
    try:
        (body,) = netlink.ask(messages.get_link(name))
    except OSError as error:
        if error.errno == errno.ENODEV:
            return None
        raise
    return Link.parse(body)


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode(errors="replace")
