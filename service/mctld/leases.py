# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks and the addresses given away, as tables of the store. No address twice, none lost: the store's own
transactions add a lease with its container and remove it with it.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING

from .errors import AddressInUse, LimitsExceeded, NetworkInUse
from .macvlan import restored
from .networking import Network

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from .networking import Fixed, Lease

SCHEMA = """
CREATE TABLE network (
    name TEXT PRIMARY KEY,
    interface TEXT NOT NULL UNIQUE,
    owner_uid INTEGER NOT NULL,
    subnet TEXT NOT NULL UNIQUE,
    subnet6 TEXT NOT NULL UNIQUE,
    created_usec INTEGER NOT NULL
) STRICT;
CREATE TABLE lease (
    network TEXT NOT NULL REFERENCES network (name),
    address INTEGER NOT NULL,
    container TEXT NOT NULL REFERENCES container (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    PRIMARY KEY (network, address),
    UNIQUE (container, network),
    UNIQUE (container, position)
) STRICT, WITHOUT ROWID;
"""
SCHEMA_INTERNAL = "ALTER TABLE network ADD COLUMN internal INTEGER NOT NULL DEFAULT 0;"
# As JSON; empty: a bridge. A bridge is one network's, a link of the host's may be several ones': see _key().
SCHEMA_MACVLAN = "ALTER TABLE network ADD COLUMN macvlan TEXT NOT NULL DEFAULT '';"
SCHEMA_MTU = "ALTER TABLE network ADD COLUMN mtu INTEGER NOT NULL DEFAULT 0;"
# Empty: the one that goes with the other, as the network tells.
SCHEMA_ADDRESS6 = """
ALTER TABLE lease ADD COLUMN address6 TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX lease_address6 ON lease (network, address6) WHERE address6 <> '';
"""


@dataclass(slots=True)
class _Pool:
    """What is taken of a network. Addresses go round, so that one that was freed is not the next to be used: the
    neighbours may still remember whose it was.
    """

    taken: dict[int, str] = field(default_factory=dict)  # address -> container
    taken6: set[IPv6Address] = field(default_factory=set)
    at: int = 0

    def pick(self, network: Network, address6: IPv6Address | None) -> IPv4Address:
        for step in range(network.count):
            number = network.first + (self.at + step) % network.count
            if number in self.taken or network.keeps(address := IPv4Address(number)):
                continue
            if address6 or network.counterpart(address) not in self.taken6:
                return address
        raise LimitsExceeded(
            f"all {network.room} addresses of network {network.name!r} ({network.subnet}) are in use: "
            "remove a container, or use another network"
        )


class Leases:
    """Works on the store's connection. Methods that change something run inside a transaction of the store."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._networks = {n.name: n for n in map(_network, database.execute("SELECT * FROM network ORDER BY name"))}
        self._pools = {name: _Pool() for name in self._networks}
        self._of: dict[str, list[Lease]] = {}
        rows = database.execute("SELECT network, container, address, position, address6 FROM lease ORDER BY position")
        for name, container, address, position, address6 in rows:
            fixed = IPv6Address(address6) if address6 else None
            self._remember(self._networks[name].lease(container, IPv4Address(address), position, fixed))

    def networks(self) -> Iterable[Network]:
        return tuple(self._networks.values())

    def network(self, name: str) -> Network | None:
        return self._networks.get(name)

    def of(self, container: str) -> tuple[Lease, ...]:
        """By position."""
        return tuple(self._of.get(container, ()))

    def add_network(self, network: Network) -> None:
        values = (
            network.name, _key(network), network.owner_uid, str(network.subnet), str(network.subnet6),
            network.created_usec, network.internal, json.dumps(network.macvlan.stored()) if network.macvlan else "",
            network.mtu,
        )  # fmt: skip
        self._database.execute("INSERT INTO network VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        self._networks[network.name] = network
        self._pools[network.name] = _Pool()

    def remove_network(self, network: Network) -> None:
        self.check_unused(network)
        self._database.execute("DELETE FROM network WHERE name = ?", (network.name,))
        del self._networks[network.name], self._pools[network.name]

    def users(self, network: Network) -> int:
        """How many containers are connected, running or not."""
        return len(self._pools[network.name].taken)

    def check_unused(self, network: Network) -> None:
        users = self.users(network)
        if users:
            which = "a container" if users == 1 else f"{users} containers"
            raise NetworkInUse(f"network {network.name!r} is used by {which}: remove or disconnect first")

    def choose(self, network: Network, container: str, position: int, wanted: Fixed) -> Lease:
        """The next free addresses, or the wanted ones. Nothing is changed yet."""
        pool = self._pools[network.name]
        address6 = network.check_member6(IPv6Address(wanted.address6)) if wanted.address6 else None
        if address6 in pool.taken6:
            raise AddressInUse(f"address {address6} of network {network.name!r} is in use: choose another")
        if not wanted.address:
            return network.lease(container, pool.pick(network, address6), position, address6)
        address = network.check_member(IPv4Address(wanted.address))
        if int(address) in pool.taken:
            raise AddressInUse(f"address {address} of network {network.name!r} is in use: choose another")
        if not address6 and (network.keeps(address) or network.counterpart(address) in pool.taken6):
            raise AddressInUse(
                f"address {network.counterpart(address)} of network {network.name!r}, which goes with {address}, "
                "is in use: choose another, or an Address6 as well"
            )
        return network.lease(container, address, position, address6)

    def position(self, container: str, floor: int) -> int:
        """The first free one of the container's, not below `floor`."""
        taken = {lease.position for lease in self.of(container)}
        return next(number for number in itertools.count(floor) if number not in taken)

    def delete(self, lease: Lease) -> None:
        which = (lease.container, lease.network)
        self._database.execute("DELETE FROM lease WHERE container = ? AND network = ?", which)

    def insert(self, lease: Lease) -> None:
        goes_along = lease.address6 == self._networks[lease.network].counterpart(lease.address)
        address6 = "" if goes_along else str(lease.address6)
        values = (lease.network, int(lease.address), lease.container, lease.position, address6)
        columns = "network, address, container, position, address6"
        self._database.execute(f"INSERT INTO lease ({columns}) VALUES (?, ?, ?, ?, ?)", values)

    def taken(self, lease: Lease) -> None:
        """After the transaction: from here on it is in use, and the next one is looked for behind it."""
        self._remember(lease)
        network = self._networks[lease.network]
        position = int(lease.address) - network.first
        if 0 <= position < network.count:
            self._pools[lease.network].at = position + 1

    def released(self, lease: Lease) -> None:
        """After the transaction that has deleted it, or where none has inserted it."""
        self._of[lease.container].remove(lease)
        self._forget(lease)

    def freed(self, container: str) -> None:
        """After the transaction that has removed the container, and its leases with it."""
        for lease in self._of.pop(container, ()):
            self._forget(lease)

    def _forget(self, lease: Lease) -> None:
        pool = self._pools[lease.network]
        del pool.taken[int(lease.address)]
        pool.taken6.discard(lease.address6)

    def _remember(self, lease: Lease) -> None:
        pool = self._pools[lease.network]
        pool.taken[int(lease.address)] = lease.container
        pool.taken6.add(lease.address6)
        of = self._of.setdefault(lease.container, [])
        of.append(lease)
        of.sort(key=lambda lease: lease.position)


def _key(network: Network) -> str:
    """The interface, and what makes it unique; no interface has a slash in its name."""
    return f"{network.interface}/{network.name}" if network.macvlan else network.interface


def _network(row: tuple[str, str, int, str, str, int, int, str, int]) -> Network:
    name, key, owner_uid, subnet, subnet6, created_usec, internal, link, mtu = row
    return Network(
        name, key.partition("/")[0], owner_uid, IPv4Network(subnet), IPv6Network(subnet6), created_usec,
        bool(internal), restored(json.loads(link)) if link else None, mtu,
    )  # fmt: skip
