# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's routes: where its own default leads, and what a new subnet would get in the way of."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

from ..errors import SubnetInUse
from ..networking import DEFAULT, LEAST_MTU
from . import messages
from .links import find_link
from .netlink import Netlink, attributes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..networking import Network

MTU = 1500  # where no default route says more
WHOLE_INTERNET = 7  # a shorter prefix is a part of a default route, as VPNs set them

# linux/rtnetlink.h
_RTA_DST, _RTA_OIF, _RTA_TABLE = 1, 4, 15
_RT_TABLE_LOCAL = 255
_ROUTE = struct.Struct("=BBBBBBBBI")  # struct rtmsg


@dataclass(frozen=True, slots=True)
class Route:
    to: IPv4Network | IPv6Network
    interface: int  # 0: none, or several

    def __str__(self) -> str:
        return f"{self.to} ({_name(self.interface)})"


def routes(netlink: Netlink, family: socket.AddressFamily) -> list[Route]:
    """Of all tables but that of the host's own addresses."""
    found = [_route(body) for body in netlink.ask(messages.list_routes(family))]
    return [route for route in found if route is not None]


def check_free(netlink: Netlink, network: Network) -> None:
    """Raises SubnetInUse with the first route that overlaps."""
    for family, subnet in ((socket.AF_INET, network.subnet), (socket.AF_INET6, network.subnet6)):
        for route in routes(netlink, family):
            if _gets_in_the_way(route, subnet):
                what = "set DefaultSubnet= in mctld.conf(5)" if network.name == DEFAULT else "use another subnet"
                raise SubnetInUse(
                    f"network {network.name!r} cannot have {subnet}: this host has a route to {route}; "
                    f"remove that route, or {what}"
                )


def overlaps(networks: Iterable[Network]) -> list[str]:
    """What has come later: routes into the subnets of bridges that do not lead to these, in words. Blocking.

    For everybody to read.
    """
    bridges = [network for network in networks if network.macvlan is None]
    with Netlink() as netlink:
        known = {family: routes(netlink, family) for family in (socket.AF_INET, socket.AF_INET6)}
    return [
        f"{route} overlaps {subnet} of {_called(network)}"
        for network in bridges
        for family, subnet in ((socket.AF_INET, network.subnet), (socket.AF_INET6, network.subnet6))
        for route in known[family]
        if _gets_in_the_way(route, subnet) and _name(route.interface) != network.interface
    ]


def _called(network: Network) -> str:
    """Of the others only their owners may know the names."""
    return f"network {network.name}" if network.is_shared else "a network of a user's own"


def _gets_in_the_way(route: Route, subnet: IPv4Network | IPv6Network) -> bool:
    return route.to.prefixlen > WHOLE_INTERNET and subnet.overlaps(route.to)


def outer_mtu(netlink: Netlink) -> int:
    """What gets through on the ways out of the host, so that containers need not find out; IPv6 may be the only one."""
    families = (socket.AF_INET, socket.AF_INET6)
    out = [_name(r.interface) for family in families for r in routes(netlink, family) if not r.to.prefixlen]
    return max(LEAST_MTU, min((found.mtu for name in out if (found := find_link(netlink, name))), default=MTU))


def _route(body: bytes) -> Route | None:
    family, length, _, _, table, _, _, kind, _ = _ROUTE.unpack_from(body)
    found = attributes(body, _ROUTE.size)
    table = int.from_bytes(found.get(_RTA_TABLE, bytes([table])), "little")
    if kind != messages.RTN_UNICAST or table == _RT_TABLE_LOCAL:
        return None
    size = 4 if family == socket.AF_INET else 16
    to = ip_network((ip_address(found.get(_RTA_DST, bytes(size))), length), strict=False)
    return Route(to, _index(found.get(_RTA_OIF, b"")))


def _index(data: bytes) -> int:
    return struct.unpack("=i", data)[0] if data else 0


def _name(interface: int) -> str:
    try:
        return socket.if_indextoname(interface)
    except OSError:
        return "several interfaces"
