# SPDX-License-Identifier: GPL-3.0-or-later
"""What a network is, and to which ones a container is connected: frozen, and valid from birth on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

from .bounds import shown
from .errors import InvalidArgs
from .ports import Port, check_ports

DEFAULT = "bridge"
RESERVED = frozenset({"none", "host", "container", "default"})  # words of `mctl run --network`
ROOT_UID = 0
NETWORKS_MAX = 16  # of one container
NAME_RULE = "1 to 63 of a-z, 0-9 and -, beginning with a letter or digit"

LARGEST, SMALLEST = 8, 29  # prefix lengths
PRIVATE = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")))  # RFC 1918, 6598

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def check_network_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidArgs(f"network {shown(name)} is not a valid name: use {NAME_RULE}")
    return name


def check_new_network(name: str) -> str:
    """A name that a network may be given."""
    if name in RESERVED:
        raise InvalidArgs(f"network {name!r} would be mistaken for a word of --network: choose another name")
    return check_network_name(name)


def parse_subnet(text: str) -> IPv4Network:
    """A private one, with room for containers."""
    try:
        subnet = IPv4Network(text)
    except ValueError:
        raise InvalidArgs(f"Subnet {shown(text)} is not an IPv4 subnet as in 10.90.1.0/24") from None
    if not LARGEST <= subnet.prefixlen <= SMALLEST:
        raise InvalidArgs(f"Subnet {subnet} is of the wrong size: it must be from /{LARGEST} to /{SMALLEST}")
    if not any(subnet.subnet_of(private) for private in PRIVATE):
        raise InvalidArgs(f"Subnet {subnet} is not private: take one in {', '.join(map(str, PRIVATE))}")
    return subnet


def check_address(key: str, text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise InvalidArgs(f"{key} {shown(text)} is not an IPv4 address") from None


@dataclass(frozen=True, slots=True)
class Networking:
    """The networks of a container; none: only a loopback interface.

    address: a fixed one on the first network, or empty: then one of the pool. ports: published on the host.
    """

    networks: tuple[str, ...] = (DEFAULT,)
    address: str = ""
    ports: tuple[Port, ...] = ()

    def __post_init__(self) -> None:
        if len(self.networks) > NETWORKS_MAX:
            raise InvalidArgs(f"Networks has {len(self.networks)} entries: the most is {NETWORKS_MAX}")
        for name in self.networks:
            check_network_name(name)
        if len(set(self.networks)) < len(self.networks):
            raise InvalidArgs(f"Networks names a network twice: {', '.join(self.networks)}")
        if self.address:
            check_address("Address", self.address)
            if not self.networks:
                raise InvalidArgs(f"Address {self.address} needs a network: the container is connected to none")
        if self.ports and not self.networks:
            raise InvalidArgs(f"Ports {self.ports[0]} needs a network: the container is connected to none")
        check_ports(self.ports)


def restored(found: dict[str, Any] | None) -> Networking:
    """From JSON, which knows no tuples; containers of the first version had no network."""
    if not found:
        return Networking(())
    ports = tuple(Port(**port) for port in found["ports"])
    return Networking(tuple(found["networks"]), found["address"], ports)


@dataclass(frozen=True, slots=True)
class Network:
    """An Ethernet bridge of the host with a subnet of each family. The host has the first address of both."""

    name: str
    interface: str
    owner_uid: int
    subnet: IPv4Network
    subnet6: IPv6Network
    created_usec: int = 0
    internal: bool = False  # no way out, and none in

    def is_visible_to(self, uid: int) -> bool:
        """Root's are everybody's; others' are their own."""
        return uid in (ROOT_UID, self.owner_uid) or self.owner_uid == ROOT_UID

    @property
    def gateway(self) -> IPv4Address:
        return self.subnet.network_address + 1

    @property
    def gateway6(self) -> IPv6Address:
        return self.subnet6.network_address + 1

    @property
    def first(self) -> int:
        """The first address of the pool, as a number."""
        return int(self.subnet.network_address) + 2

    @property
    def count(self) -> int:
        """Addresses in the pool: all but those of the network, the host and the broadcast."""
        return self.subnet.num_addresses - 3

    def check_member(self, address: IPv4Address) -> IPv4Address:
        """One that the pool may hand out. Raises InvalidArgs."""
        if not 0 <= int(address) - self.first < self.count:
            last = IPv4Address(self.first + self.count - 1)
            raise InvalidArgs(
                f"Address {address} is not one that network {self.name!r} gives away: "
                f"those are {IPv4Address(self.first)} to {last}"
            )
        return address

    def lease(self, container: str, address: IPv4Address, position: int) -> Lease:
        """The IPv6 address is as far from the beginning of its subnet as the other."""
        offset = int(address) - int(self.subnet.network_address)
        return Lease(self.name, container, address, self.subnet6.network_address + offset, position)


@dataclass(frozen=True, slots=True)
class Lease:
    """A container's place in a network. position: of the interface inside, which is eth0, eth1 and so on."""

    network: str
    container: str
    address: IPv4Address
    address6: IPv6Address
    position: int
