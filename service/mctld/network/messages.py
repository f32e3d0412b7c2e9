# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests of rtnetlink(7) as values, encoded by pyroute2's message classes.

Only its codecs are loaded: the package's own __init__ imports all of pyroute2, 14 MiB and 90 ms, where the three
modules below take 2 MiB and 15 ms. They import nothing above themselves but pyroute2.netlink.

They take a third of a millisecond for a pair of links, and more than one for all that a container needs. So what each
needs is encoded once, and then only filled in.
"""

from __future__ import annotations

import functools
import socket
import sys
from dataclasses import dataclass
from importlib.machinery import PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network


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
_FORMS = 64  # kept, of each kind: one for each network, or length of a name
Attributes = list[list[Any]]


@dataclass(frozen=True, slots=True)
class Request:
    """`does` completes "could not ..."; `body` is what follows the header."""

    does: str
    type: int
    flags: int
    body: bytes


@dataclass(frozen=True, slots=True)
class _Form:
    """A message with stand-ins, and where they are: what is put there is exactly as long."""

    request: Request
    places: tuple[tuple[int, ...], ...]
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, request: Request, *stand_ins: bytes) -> _Form:
        places = tuple(tuple(_places(request.body, stand_in)) for stand_in in stand_ins)
        return cls(request, places, tuple(map(len, stand_ins)))

    def filled(self, does: str, *values: bytes) -> Request:
        body = bytearray(self.request.body)
        for places, length, value in zip(self.places, self.lengths, values, strict=True):
            if len(value) != length:
                raise ValueError(f"{value!r} is not {length} bytes long")
            for place in places:
                body[place : place + length] = value
        return Request(does, self.request.type, self.request.flags, bytes(body))


def _places(body: bytes, stand_in: bytes) -> Iterator[int]:
    at = body.find(stand_in)
    while at >= 0:
        yield at
        at = body.find(stand_in, at + len(stand_in))


def add_bridge(name: str, mac: str) -> Request:
    """With a fixed hardware address: without one a bridge takes over that of a port, and changes with them."""
    attributes: Attributes = [["IFLA_IFNAME", name], ["IFLA_ADDRESS", mac], _kind("bridge")]
    return _request(f"make the bridge {name}", RTM_NEWLINK, CREATE | EXCL, _link(attributes))


def add_veth(name: str, *, bridge: int, mtu: int, inside: str, mac: str, namespace: int) -> Request:
    """A pair: one end on the bridge, the other made straight in the namespace, as `inside`.

    The kernel would make a queue for each processor, tell udev of every one, and use but the first (veth_init_queues).
    """
    values = (name.encode(), bytes.fromhex(mac.replace(":", "")), namespace.to_bytes(4, sys.byteorder))
    return _veth_form(len(name), bridge, mtu, inside).filled(f"make the link {name}", *values)


@functools.lru_cache(_FORMS)
def _veth_form(length: int, bridge: int, mtu: int, inside: str) -> _Form:
    name, mac, namespace = "?" * length, "fe:fd:fb:f7:ef:df", 0x7A7B7C7D
    single: Attributes = [["IFLA_NUM_TX_QUEUES", 1], ["IFLA_NUM_RX_QUEUES", 1]]
    peer = _link([
        ["IFLA_IFNAME", inside], ["IFLA_ADDRESS", mac], ["IFLA_MTU", mtu], ["IFLA_NET_NS_FD", namespace], *single
    ])  # fmt: skip
    attributes: Attributes = [
        ["IFLA_IFNAME", name], ["IFLA_MTU", mtu], ["IFLA_MASTER", bridge], *single,
        _kind("veth", ["VETH_INFO_PEER", peer]),
    ]  # fmt: skip
    message = _request("make a link", RTM_NEWLINK, CREATE | EXCL, _link(attributes))
    stand_ins = (name.encode(), bytes.fromhex(mac.replace(":", "")), namespace.to_bytes(4, sys.byteorder))
    return _Form.of(message, *stand_ins)


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
    words = (name.encode(), alias.encode())
    return _raising_form(*map(len, words)).filled(f"raise the link {name}", *words)


@functools.lru_cache(_FORMS)
def _raising_form(name_length: int, alias_length: int) -> _Form:
    name, alias = "?" * name_length, "!" * alias_length
    hairpin = [["IFLA_INFO_SLAVE_KIND", "bridge"], ["IFLA_INFO_SLAVE_DATA", {"attrs": [["IFLA_BRPORT_MODE", 1]]}]]
    attributes: Attributes = [
        ["IFLA_IFNAME", name], ["IFLA_IFALIAS", alias], ["IFLA_LINKINFO", {"attrs": hairpin}]
    ]  # fmt: skip
    message = _request("raise a link", RTM_NEWLINK, 0, _link(attributes, up=True))
    return _Form.of(message, name.encode(), alias.encode())


@functools.lru_cache(_FORMS)
def raise_link(index: int, name: str) -> Request:
    return _request(f"raise the link {name}", RTM_NEWLINK, 0, _link([], index=index, up=True))


def set_mtu(index: int, name: str, mtu: int) -> Request:
    """A bridge that has been told keeps it; another takes the least of its ports', or 1500 (br_mtu_auto_adjust)."""
    return _request(f"set the MTU of {name}", RTM_NEWLINK, 0, _link([["IFLA_MTU", mtu]], index=index))


def enslave(index: int, name: str, bridge: int) -> Request:
    return _request(f"put {name} on its bridge", RTM_NEWLINK, 0, _link([["IFLA_MASTER", bridge]], index=index))


def delete_link(name: str) -> Request:
    return _request(f"remove the link {name}", RTM_DELLINK, 0, _link([["IFLA_IFNAME", name]]))


@functools.lru_cache(_FORMS)
def get_link(name: str) -> Request:
    return _request(f"find the link {name}", RTM_GETLINK, 0, _link([["IFLA_IFNAME", name]]))


def list_links() -> Request:
    return _request("list the links", RTM_GETLINK, ROOT_AND_MATCH, _link([]))


def add_address(index: int, address: IPv4Interface | IPv6Interface) -> Request:
    """Usable at once: what comes from a pool needs no duplicate address detection, RFC 4862 section 5.4."""
    return _address_form(index, address.network).filled(f"give away the address {address}", address.packed)


@functools.lru_cache(_FORMS)
def _address_form(index: int, network: IPv4Network | IPv6Network) -> _Form:
    stand_in = "254.253.251.247" if network.version == 4 else "fefd:fbf7:efdf:bf7f:fefd:fbf7:efdf:bf7f"
    message = ifaddrmsg()
    message["family"] = family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    message["prefixlen"] = network.prefixlen
    message["index"] = index
    message["attrs"] = [["IFA_LOCAL", stand_in], ["IFA_ADDRESS", stand_in]]
    if network.version == 4:
        message["attrs"].append(["IFA_BROADCAST", str(network.broadcast_address)])
    else:
        message["flags"] = IFA_F_NODAD
    made = _request("give away an address", RTM_NEWADDR, CREATE | REPLACE, message)
    return _Form.of(made, socket.inet_pton(family, stand_in))


@functools.lru_cache(_FORMS)
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
