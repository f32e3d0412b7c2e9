# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel remembers of datagrams to published ports: it leads all of a flow where the first one was led.

A connection ends with its container. Whoever sends datagrams from one port, as syslog and QUIC do, begins no new flow
as long as it goes on: it would never reach the container that comes next, and reach one that is published no more.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from .messages import REQUEST, ROOT_AND_MATCH, Request
from .netlink import Netlink, attributes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..ports import Port

    Address = IPv4Address | IPv6Address

# linux/netlink.h and linux/netfilter/nfnetlink_conntrack.h; the filter's flags: net/netfilter/nf_internals.h, Linux 5.8
_NETLINK_NETFILTER = 12
_GET, _DELETE = (1 << 8) | 1, (1 << 8) | 2  # NFNL_SUBSYS_CTNETLINK
_CTA_TUPLE_ORIG, _CTA_ID, _CTA_ZONE, _CTA_FILTER = 1, 12, 18, 25
_CTA_TUPLE_IP, _CTA_TUPLE_PROTO = 1, 2
_CTA_IP_V4_DST, _CTA_IP_V6_DST = 2, 4
_CTA_PROTO_NUM, _CTA_PROTO_DST_PORT = 1, 3
_CTA_FILTER_ORIG_FLAGS = 1
_BY_NUMBER, _BY_DESTINATION_PORT = 1 << 3, 1 << 5
_NESTED = 0x8000
_NFGENMSG = struct.Struct("=BBH")
_ATTRIBUTE = struct.Struct("=HH")
_AT_ONCE = 256  # requests in one message: far from what a socket takes


def forget(ports: Iterable[Port]) -> int:
    """Flows of datagrams that began with a packet to one of these ports of the host. How many there were."""
    mine = [port for port in ports if port.protocol == "udp"]
    with contextlib.closing(Netlink(_NETLINK_NETFILTER)) as netlink:
        found = [_deletion(family, body) for family in _families(mine) for body in _flows(netlink, family, mine)]
        for first in range(0, len(found), _AT_ONCE):
            with contextlib.suppress(FileNotFoundError):  # it has just ended by itself
                netlink.do(*found[first : first + _AT_ONCE])
    return len(found)


def _families(ports: Iterable[Port]) -> set[int]:
    versions = {port.bound.version if port.bound else 0 for port in ports}
    both = {0: (socket.AF_INET, socket.AF_INET6), 4: (socket.AF_INET,), 6: (socket.AF_INET6,)}
    return {family for version in versions for family in both[version]}


def _flows(netlink: Netlink, family: int, ports: Sequence[Port]) -> list[bytes]:
    """The kernel may know a hundred thousand: where it is one port, it is told which."""
    only = ports[0].host if len(ports) == 1 and ports[0].count == 1 else None
    hosts: dict[Address, bool] = {}
    return [body for body in netlink.ask(_listing(family, only)) if _leads_to(_destination(family, body), ports, hosts)]


def _leads_to(destination: tuple[Address, int], ports: Iterable[Port], hosts: dict[Address, bool]) -> bool:
    address, number = destination
    for port in ports:
        if port.host <= number < port.host + port.count and port.bound in (None, address):
            if address not in hosts:
                hosts[address] = _is_of_host(address)
            return hosts[address]
    return False


def _is_of_host(address: Address) -> bool:
    """What containers and the host itself send to such a port elsewhere is no concern of ours."""
    if address.is_link_local:  # it means nothing without an interface
        return True
    with socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as trying:
        try:
            trying.bind((str(address), 0))
        except OSError:
            return False
    return True


def _listing(family: int, port: int | None) -> Request:
    protocol = _attribute(_CTA_PROTO_NUM, bytes([socket.IPPROTO_UDP]))
    flags = _BY_NUMBER
    if port is not None:
        protocol += _attribute(_CTA_PROTO_DST_PORT, port.to_bytes(2, "big"))
        flags |= _BY_DESTINATION_PORT
    wanted = _attribute(_CTA_TUPLE_ORIG | _NESTED, _attribute(_CTA_TUPLE_PROTO | _NESTED, protocol))
    chosen = _attribute(_CTA_FILTER | _NESTED, _attribute(_CTA_FILTER_ORIG_FLAGS, struct.pack("=I", flags)))
    head = _NFGENMSG.pack(family, 0, 0)
    return Request("list the flows of datagrams", _GET, REQUEST | ROOT_AND_MATCH, head + wanted + chosen)


def _deletion(family: int, body: bytes) -> Request:
    """Of this one and no other that may have taken its place."""
    known = attributes(body, _NFGENMSG.size)
    told = b"".join(
        _attribute(kind | (_NESTED if kind == _CTA_TUPLE_ORIG else 0), known[kind])
        for kind in (_CTA_TUPLE_ORIG, _CTA_ZONE, _CTA_ID)
        if kind in known
    )
    return Request("forget a flow of datagrams", _DELETE, REQUEST, _NFGENMSG.pack(family, 0, 0) + told)


def _destination(family: int, body: bytes) -> tuple[Address, int]:
    first = attributes(attributes(body, _NFGENMSG.size)[_CTA_TUPLE_ORIG], 0)
    addresses, protocol = attributes(first[_CTA_TUPLE_IP], 0), attributes(first[_CTA_TUPLE_PROTO], 0)
    number = int.from_bytes(protocol[_CTA_PROTO_DST_PORT], "big")
    if family == socket.AF_INET:
        return IPv4Address(addresses[_CTA_IP_V4_DST]), number
    return IPv6Address(addresses[_CTA_IP_V6_DST]), number


def _attribute(kind: int, value: bytes) -> bytes:
    made = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value
    return made.ljust((len(made) + 3) & ~3, b"\0")
