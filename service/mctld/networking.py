# SPDX-License-Identifier: GPL-3.0-or-later
"""What a network is, and to which ones a container is connected: frozen, and valid from birth on."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any

from .bounds import shown
from .errors import InvalidArgs
from .ports import Port, check_ports

if TYPE_CHECKING:
    from .macvlan import Macvlan

DEFAULT = "bridge"
RESERVED = frozenset({"none", "host", "container", "default"})  # words of `mctl run --network`
ROOT_UID = 0
NETWORKS_MAX = 16  # of one container
NAME_RULE = "1 to 63 of a-z, 0-9 and -, beginning with a letter or digit"

LARGEST, SMALLEST = 8, 29  # prefix lengths
# bytes of a packet: with less the kernel takes IPv6 away (RFC 8200, section 5), and a length in a header has 16 bits
LEAST_MTU, LARGEST_MTU = 1280, 65_535
PRIVATE = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")))  # RFC 1918, 6598

ALIASES_MAX = 64
ALIAS_MAX = 253  # RFC 1035 section 2.3.4, as text

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_ALIAS = re.compile(rf"{_LABEL}(\.{_LABEL})*", re.ASCII)
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


def check_mtu(mtu: int) -> int:
    if not LEAST_MTU <= mtu <= LARGEST_MTU:
        raise InvalidArgs(f"MTU {mtu} is not possible: take {LEAST_MTU} to {LARGEST_MTU} bytes, or leave it out")
    return mtu


def check_address(key: str, text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise InvalidArgs(f"{key} {shown(text)} is not an IPv4 address") from None


def check_address6(key: str, text: str) -> IPv6Address:
    try:
        address = IPv6Address(text)
    except ValueError:
        raise InvalidArgs(f"{key} {shown(text)} is not an IPv6 address") from None
    if address.scope_id:
        raise InvalidArgs(f"{key} {shown(text)} must not name an interface: {text.partition('%')[0]} is enough")
    return address


def check_aliases(key: str, aliases: tuple[str, ...]) -> tuple[str, ...]:
    if len(aliases) > ALIASES_MAX:
        raise InvalidArgs(f"{key} has {len(aliases)} entries: the most is {ALIASES_MAX}")
    for alias in aliases:
        if len(alias) > ALIAS_MAX or not _ALIAS.fullmatch(alias):
            raise InvalidArgs(f"{key} {shown(alias)} is not a host name: use letters, digits, - and .")
    return aliases


@dataclass(frozen=True, slots=True)
class Fixed:
    """Addresses that somebody wants on a network; empty: one of the pool, and the IPv6 one that goes with it."""

    address: str = ""
    address6: str = ""


@dataclass(frozen=True, slots=True)
class Networking:
    """The networks of a container; none: only a loopback interface.

    address, address6: fixed ones on the first network, or empty. ports: published on the host.
    host: it has no network of its own, but the host's whole, and is connected to none.
    container: the id of another container, whose network it has in place of one of its own; or empty.
    aliases: by which the owner's other containers on these networks find it, besides its name. aliases_on: on one of
    them alone, by network.
    """

    networks: tuple[str, ...] = (DEFAULT,)
    address: str = ""
    ports: tuple[Port, ...] = ()
    aliases: tuple[str, ...] = ()
    host: bool = False
    container: str = ""
    aliases_on: tuple[tuple[str, tuple[str, ...]], ...] = ()
    address6: str = ""

    def __post_init__(self) -> None:
        if len(self.networks) > NETWORKS_MAX:
            raise InvalidArgs(f"Networks has {len(self.networks)} entries: the most is {NETWORKS_MAX}")
        if self.host and self.networks:
            raise InvalidArgs(f"Networks {self.networks[0]} and HostNetwork exclude each other")
        if self.container:
            self._check_shared()
        for name in self.networks:
            check_network_name(name)
        if len(set(self.networks)) < len(self.networks):
            raise InvalidArgs(f"Networks names a network twice: {', '.join(self.networks)}")
        self._check_fixed()
        if self.ports and not self.networks:
            raise InvalidArgs(f"Ports {self.ports[0]} needs a network: the container is connected to none")
        check_ports(self.ports)
        self._check_aliases()

    @property
    def own(self) -> bool:
        """Whether it has a network namespace that is made for it."""
        return not self.host and not self.container

    @property
    def fixed(self) -> Fixed:
        return Fixed(self.address, self.address6)

    def joined(self, network: str, aliases: tuple[str, ...] = ()) -> Networking:
        known = (*self.aliases_on, (network, aliases)) if aliases else self.aliases_on
        return replace(self, networks=(*self.networks, network), aliases_on=known)

    def left(self, network: str) -> Networking:
        """The fixed addresses are those of the first network."""
        fixed = Fixed() if self.networks[:1] == (network,) else self.fixed
        networks = tuple(name for name in self.networks if name != network)
        aliases = tuple((name, names) for name, names in self.aliases_on if name != network)
        return replace(self, networks=networks, address=fixed.address, address6=fixed.address6, aliases_on=aliases)

    def _check_shared(self) -> None:
        """What else there is to say of a network is said of the container that has it."""
        others = {"Networks": self.networks, "HostNetwork": self.host, "NetworkAliases": self.aliases}
        for key, value in others.items():
            if value:
                raise InvalidArgs(f"{key} and NetworkContainer exclude each other: the network is another container's")

    def _check_fixed(self) -> None:
        if self.address:
            check_address("Address", self.address)
        if self.address6:
            check_address6("Address6", self.address6)
        for key, address in (("Address", self.address), ("Address6", self.address6)):
            if address and not self.networks:
                raise InvalidArgs(f"{key} {address} needs a network: the container is connected to none")

    def _check_aliases(self) -> None:
        check_aliases("NetworkAliases", self.aliases)
        for _, aliases in self.aliases_on:
            check_aliases("Aliases", aliases)


def restored(found: dict[str, Any] | None) -> Networking:
    """From JSON, which knows no tuples; containers of the first version had no network."""
    if not found:
        return Networking(())
    ports = tuple(Port(**port) for port in found["ports"])
    aliases, host = tuple(found.get("aliases", ())), bool(found.get("host", False))
    shared = str(found.get("container", ""))
    aliases_on = tuple((network, tuple(names)) for network, names in found.get("aliases_on", ()))
    address6 = str(found.get("address6", ""))
    return Networking(tuple(found["networks"]), found["address"], ports, aliases, host, shared, aliases_on, address6)


@dataclass(frozen=True, slots=True)
class Network:
    """An Ethernet bridge of the host with a subnet of each family. The host has the first address of both.

    Or, with `macvlan`, a link of the host's, `interface`, on which containers are beside it: it has no address there.
    mtu: bytes of a packet; 0: the least of the host's ways out, when the bridge is made.
    """

    name: str
    interface: str
    owner_uid: int
    subnet: IPv4Network
    subnet6: IPv6Network
    created_usec: int = 0
    internal: bool = False  # no way out, and none in
    macvlan: Macvlan | None = None
    mtu: int = 0

    @property
    def is_shared(self) -> bool:
        """Everybody may use it. What makes one a neighbour of other hosts is root's alone unless it says otherwise."""
        return self.owner_uid == ROOT_UID and (self.macvlan is None or self.macvlan.shared)

    def is_visible_to(self, uid: int) -> bool:
        """Root's are everybody's, as far as they are shared; others' are their own."""
        return uid in (ROOT_UID, self.owner_uid) or self.is_shared

    @property
    def gateway(self) -> IPv4Address:
        """The host's address, or that of the link's router."""
        return self.macvlan.gateway if self.macvlan else self.subnet.network_address + 1

    @property
    def gateway6(self) -> IPv6Address | None:
        """None: there is no IPv6 router."""
        return self.macvlan.gateway6 if self.macvlan else self.subnet6.network_address + 1

    @property
    def first(self) -> int:
        """The first address of the pool, as a number."""
        if self.macvlan is None:
            return int(self.subnet.network_address) + 2
        pool = self.macvlan.pool or self.subnet
        return max(int(pool.network_address), int(self.subnet.network_address) + 1)

    @property
    def count(self) -> int:
        """Addresses in the pool: all but those of the network, the host and the broadcast."""
        pool = self.macvlan.pool if self.macvlan else None
        last = min(int((pool or self.subnet).broadcast_address), int(self.subnet.broadcast_address) - 1)
        return last + 1 - self.first

    def keeps(self, address: IPv4Address) -> bool:
        """It is the router's, or what goes with it is."""
        return address == self.gateway or self.counterpart(address) == self.gateway6

    @property
    def room(self) -> int:
        """How many addresses the pool has for containers."""
        pool = range(self.first, self.first + self.count)
        taken = {int(self.gateway)}
        if self.gateway6 and self.gateway6 in self.subnet6:
            taken.add(int(self.gateway6) - int(self.subnet6.network_address) + int(self.subnet.network_address))
        return len(pool) - sum(number in pool for number in taken)

    def check_member(self, address: IPv4Address) -> IPv4Address:
        """One that a container may have; on a link also one that is not in the pool. Raises InvalidArgs."""
        start = self.first if self.macvlan is None else int(self.subnet.network_address) + 1
        if not start <= int(address) < int(self.subnet.broadcast_address) or address == self.gateway:
            but = "" if self.macvlan is None else f", but for {self.gateway}"
            raise InvalidArgs(
                f"Address {address} is not one that network {self.name!r} gives away: "
                f"those are {IPv4Address(start)} to {self.subnet.broadcast_address - 1}{but}"
            )
        return address

    def check_member6(self, address: IPv6Address) -> IPv6Address:
        """One that a container may have. Raises InvalidArgs."""
        start = self.subnet6.network_address + (2 if self.macvlan is None else 1)
        if address not in self.subnet6 or address < start or address == self.gateway6:
            but = f", but for {self.gateway6}" if self.macvlan and self.gateway6 else ""
            raise InvalidArgs(
                f"Address6 {address} is not one that network {self.name!r} gives away: "
                f"those are {start} to {self.subnet6[-1]}{but}"
            )
        return address

    def counterpart(self, address: IPv4Address) -> IPv6Address:
        """The IPv6 address that is as far from the beginning of its subnet."""
        return self.subnet6.network_address + (int(address) - int(self.subnet.network_address))

    def lease(
        self, container: str, address: IPv4Address, position: int, address6: IPv6Address | None = None
    ) -> Lease:
        """address6: None for the one that goes with the other."""
        return Lease(self.name, container, address, address6 or self.counterpart(address), position)


@dataclass(frozen=True, slots=True)
class Lease:
    """A container's place in a network. position: of the interface inside, which is eth0, eth1 and so on."""

    network: str
    container: str
    address: IPv4Address
    address6: IPv6Address
    position: int
