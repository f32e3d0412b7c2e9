# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests of rtnetlink(7) as values, encoded by pyroute2's message classes.

Only its codecs are loaded: the package's own __init__ imports all of pyroute2, 14 MiB and 90 ms, where the three
modules below take 2 MiB and 15 ms. They import nothing above themselves but pyroute2.netlink.
"""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass
from importlib.machinery import PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface


def _bare_pyroute2() -> None:
    """The package without the contents of its __init__; where it is loaded already, it stays as it is."""
    if "pyroute2" not in sys.modules:
        found = PathFinder.find_spec("pyroute2")
        if found is None or found.submodule_search_locations is None:
            raise ModuleNotFoundError("python3-pyroute2 is not installed", name="pyroute2")
        package = ModuleType("pyroute2")
        package.__path__ = list(found.submodule_search_locations)
        sys.modules["pyroute2"] = package


_bare_pyroute2()

from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg  # noqa: E402
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg  # noqa: E402
from pyroute2.netlink.rtnl.rtmsg import rtmsg  # noqa: E402

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_GETADDR = 20, 22
RTM_NEWROUTE, RTM_GETROUTE = 24, 26

REQUEST, ACK, ROOT_AND_MATCH = 0x1, 0x4, 0x300
REPLACE, EXCL, CREATE = 0x100, 0x200, 0x400

IFF_UP = 0x1
IFA_F_NODAD = 0x02
RT_TABLE_MAIN = 254
RTPROT_STATIC, RT_SCOPE_UNIVERSE, RTN_UNICAST = 4, 0, 1

_HEADER_SIZE = 16  # struct nlmsghdr
Attributes = list[list[Any]]


@dataclass(frozen=True, slots=True)
class Request:
    """`does` completes "could not ..."; `body` is what follows the header."""

    does: str
    type: int
    flags: int
    body: bytes


def add_bridge(name: str, mac: str, mtu: int) -> Request:
    """With a fixed hardware address: without one a bridge takes over that of a port, and changes with them."""
    attributes: Attributes = [["IFLA_IFNAME", name], ["IFLA_ADDRESS", mac], ["IFLA_MTU", mtu], _kind("bridge")]
    return _request(f"make the bridge {name}", RTM_NEWLINK, CREATE | EXCL, _link(attributes))


def add_veth(name: str, *, bridge: int, mtu: int, inside: str, mac: str, namespace: int) -> Request:
    """A pair: one end on the bridge, the other made straight in the namespace, as `inside`."""
    peer = _link([["IFLA_IFNAME", inside], ["IFLA_ADDRESS", mac], ["IFLA_MTU", mtu], ["IFLA_NET_NS_FD", namespace]])
    attributes: Attributes = [
        ["IFLA_IFNAME", name], ["IFLA_MTU", mtu], ["IFLA_MASTER", bridge], _kind("veth", ["VETH_INFO_PEER", peer])
    ]  # fmt: skip
    return _request(f"make the link {name}", RTM_NEWLINK, CREATE | EXCL, _link(attributes))


def add_macvlan(parent: int, *, mode: str, inside: str, mac: str, namespace: int) -> Request:
    """One interface, made straight in the namespace; the MTU is the parent's."""
    attributes: Attributes = [
        ["IFLA_IFNAME", inside], ["IFLA_ADDRESS", mac], ["IFLA_LINK", parent], ["IFLA_NET_NS_FD", namespace],
        _kind("macvlan", ["IFLA_MACVLAN_MODE", mode]),
    ]  # fmt: skip
    return _request(f"make the link {inside}", RTM_NEWLINK, CREATE | EXCL, _link(attributes))


def raise_veth(name: str, alias: str) -> Request:
    """Separate, since what makes a link ignores IFLA_IFALIAS, and a pair can be raised only once it is one.

    Hairpin: with br_netfilter a container that uses its own published port gets its packets back through the bridge.
    """
    hairpin = [["IFLA_INFO_SLAVE_KIND", "bridge"], ["IFLA_INFO_SLAVE_DATA", {"attrs": [["IFLA_BRPORT_MODE", 1]]}]]
    attributes: Attributes = [
        ["IFLA_IFNAME", name], ["IFLA_IFALIAS", alias], ["IFLA_LINKINFO", {"attrs": hairpin}]
    ]  # fmt: skip
    return _request(f"raise the link {name}", RTM_NEWLINK, 0, _link(attributes, up=True))


def raise_link(index: int, name: str) -> Request:
    return _request(f"raise the link {name}", RTM_NEWLINK, 0, _link([], index=index, up=True))


def enslave(index: int, name: str, bridge: int) -> Request:
    return _request(f"put {name} on its bridge", RTM_NEWLINK, 0, _link([["IFLA_MASTER", bridge]], index=index))


def delete_link(name: str) -> Request:
    return _request(f"remove the link {name}", RTM_DELLINK, 0, _link([["IFLA_IFNAME", name]]))


def get_link(name: str) -> Request:
    return _request(f"find the link {name}", RTM_GETLINK, 0, _link([["IFLA_IFNAME", name]]))


def list_links() -> Request:
    return _request("list the links", RTM_GETLINK, ROOT_AND_MATCH, _link([]))


def add_address(index: int, address: IPv4Interface | IPv6Interface) -> Request:
    """Usable at once: what comes from a pool needs no duplicate address detection, RFC 4862 section 5.4."""
    message = ifaddrmsg()
    message["family"] = socket.AF_INET if address.version == 4 else socket.AF_INET6
    message["prefixlen"] = address.network.prefixlen
    message["index"] = index
    message["attrs"] = [["IFA_LOCAL", str(address.ip)], ["IFA_ADDRESS", str(address.ip)]]
    if address.version == 4:
        message["attrs"].append(["IFA_BROADCAST", str(address.network.broadcast_address)])
    else:
        message["flags"] = IFA_F_NODAD
    return _request(f"give away the address {address}", RTM_NEWADDR, CREATE | REPLACE, message)


def add_default_route(index: int, gateway: IPv4Address | IPv6Address) -> Request:
    message = rtmsg()
    message["family"] = socket.AF_INET if gateway.version == 4 else socket.AF_INET6
    message["table"], message["proto"] = RT_TABLE_MAIN, RTPROT_STATIC
    message["scope"], message["type"] = RT_SCOPE_UNIVERSE, RTN_UNICAST
    message["attrs"] = [["RTA_GATEWAY", str(gateway)], ["RTA_OIF", index]]
    return _request(f"set the default route to {gateway}", RTM_NEWROUTE, CREATE | REPLACE, message)


def list_routes(family: socket.AddressFamily) -> Request:
    message = rtmsg()
    message["family"] = family
    return _request("list the routes", RTM_GETROUTE, ROOT_AND_MATCH, message)


def _link(attributes: Attributes, *, index: int = 0, up: bool = False) -> Any:
    message = ifinfmsg()
    message["index"] = index
    if up:
        message["flags"] = message["change"] = IFF_UP
    message["attrs"] = attributes
    return message


def _kind(kind: str, *data: list[Any]) -> list[Any]:
    described: Attributes = [["IFLA_INFO_KIND", kind]]
    if data:
        described.append(["IFLA_INFO_DATA", {"attrs": list(data)}])
    return ["IFLA_LINKINFO", {"attrs": described}]


def _request(does: str, type_: int, flags: int, message: Any) -> Request:
    message.encode()
    return Request(does, type_, REQUEST | flags, bytes(message.data[_HEADER_SIZE:]))
