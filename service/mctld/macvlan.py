# SPDX-License-Identifier: GPL-3.0-or-later
"""A network that is an Ethernet link of the host's: what of it is said by whoever makes it, valid from birth on."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import islice
from typing import TYPE_CHECKING, Any

from .bounds import shown
from .errors import InvalidArgs

if TYPE_CHECKING:
    from collections.abc import Mapping

MODES = ("bridge", "private", "vepa", "passthru")  # ip-link(8), MACVLAN
LARGEST, SMALLEST = 8, 30  # prefix lengths
LARGEST6, SMALLEST6 = 16, 96  # room for an address that goes with each of the largest IPv4 subnet's

_INTERFACE = re.compile(r"[^\s/:\x00-\x1f\x7f]{1,15}")  # dev_valid_name() and IFNAMSIZ of the kernel
_OURS = re.compile(r"mctl[0-9]{1,4}|mctl[0-9a-f]{10}")


def parse_subnet(text: str) -> IPv4Network:
    """Of the link as it is, which need not be private."""
    try:
        subnet = IPv4Network(text)
    except ValueError:
        raise InvalidArgs(f"Subnet {shown(text)} is not an IPv4 subnet as in 192.168.1.0/24") from None
    if not LARGEST <= subnet.prefixlen <= SMALLEST:
        raise InvalidArgs(f"Subnet {subnet} is of the wrong size: it must be from /{LARGEST} to /{SMALLEST}")
    if subnet.is_multicast or subnet.is_loopback or subnet.is_unspecified:
        raise InvalidArgs(f"Subnet {subnet} has no addresses that an interface on a link could have")
    return subnet


def parse_subnet6(text: str) -> IPv6Network:
    try:
        subnet = IPv6Network(text)
    except ValueError:
        raise InvalidArgs(f"Subnet6 {shown(text)} is not an IPv6 subnet as in 2001:db8:1::/64") from None
    if not LARGEST6 <= subnet.prefixlen <= SMALLEST6:
        raise InvalidArgs(f"Subnet6 {subnet} is of the wrong size: it must be from /{LARGEST6} to /{SMALLEST6}")
    if subnet.is_multicast or subnet.is_link_local:
        raise InvalidArgs(f"Subnet6 {subnet} has no addresses that could be given away")
    return subnet


def parse_range(text: str) -> IPv4Network:
    try:
        return IPv4Network(text)
    except ValueError:
        raise InvalidArgs(f"AddressRange {shown(text)} is not a part of a subnet as in 192.168.1.64/26") from None


def check_parent(name: str) -> str:
    if not _INTERFACE.fullmatch(name) or name in (".", ".."):
        raise InvalidArgs(f"Parent {shown(name)} is not the name of an interface")
    if name == "lo" or _OURS.fullmatch(name):
        raise InvalidArgs(f"Parent {name} is not a link to other hosts: name an Ethernet interface of this host")
    return name


@dataclass(frozen=True, slots=True)
class Macvlan:
    """Containers have interfaces of their own on the link that the host's `parent` is on: macvlan, ip-link(8).

    gateway, gateway6: routers there; without the second no default route of IPv6. pool: where addresses are chosen from
    that nobody has asked for; None: the whole subnet. shared: root's, and everybody's to use.
    """

    parent: str
    gateway: IPv4Address
    gateway6: IPv6Address | None = None
    mode: str = MODES[0]
    pool: IPv4Network | None = None
    shared: bool = False

    def __post_init__(self) -> None:
        check_parent(self.parent)
        if self.mode not in MODES:
            raise InvalidArgs(f"Mode {shown(self.mode)} is not known: use one of {', '.join(MODES)}")

    def check_within(self, subnet: IPv4Network, subnet6: IPv6Network | None) -> None:
        """Its addresses belong to these subnets. Raises InvalidArgs."""
        hosts = (subnet.network_address, subnet.broadcast_address)
        if self.gateway not in subnet or self.gateway in hosts:
            raise InvalidArgs(f"Gateway {self.gateway} is not the address of a host in {subnet}")
        if self.pool and not self.pool.subnet_of(subnet):
            raise InvalidArgs(f"AddressRange {self.pool} is not within {subnet}")
        if self.pool and all(address in (*hosts, self.gateway) for address in islice(self.pool, 4)):
            raise InvalidArgs(f"AddressRange {self.pool} has no address for a container")
        if self.gateway6 is None:
            return
        if subnet6 is None:
            raise InvalidArgs(f"Gateway6 {self.gateway6} needs Subnet6: the IPv6 subnet of the link")
        if not self.gateway6.is_link_local and (
            self.gateway6 not in subnet6 or self.gateway6 == subnet6.network_address
        ):
            raise InvalidArgs(f"Gateway6 {self.gateway6} is not the address of a host in {subnet6}, or link-local")

    def stored(self) -> dict[str, Any]:
        """As JSON knows it."""
        return {key: value if isinstance(value, bool) else str(value or "") for key, value in asdict(self).items()}


def restored(found: Mapping[str, Any]) -> Macvlan:
    return Macvlan(
        found["parent"],
        IPv4Address(found["gateway"]),
        IPv6Address(found["gateway6"]) if found["gateway6"] else None,
        found["mode"],
        IPv4Network(found["pool"]) if found["pool"] else None,
        shared=found["shared"],
    )
