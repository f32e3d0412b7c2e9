# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks and the addresses given away, as tables of the store. No address twice, none lost: the store's own
transactions add a lease with its container and remove it with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import TYPE_CHECKING

from .errors import AddressInUse, LimitsExceeded, NetworkInUse
from .networking import Network

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from .networking import Lease

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


@dataclass(slots=True)
class _Pool:
    """What is taken of a network. Addresses go round, so that one that was freed is not the next to be used: the
    neighbours may still remember whose it was.
    """

    taken: dict[int, str] = field(default_factory=dict)  # address -> container
    at: int = 0

    def pick(self, network: Network) -> int:
        for step in range(network.count):
            address = network.first + (self.at + step) % network.count
            if address not in self.taken:
                return address
        raise LimitsExceeded(
            f"all {network.count} addresses of network {network.name!r} ({network.subnet}) are in use: "
            "remove a container, or use another network"
        )


class Leases:
    """Works on the store's connection. Methods that change something run inside a transaction of the store."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._networks = {n.name: n for n in map(_network, database.execute("SELECT * FROM network ORDER BY name"))}
        self._pools = {name: _Pool() for name in self._networks}
        self._of: dict[str, list[Lease]] = {}
        rows = database.execute("SELECT network, container, address, position FROM lease ORDER BY position")
        for name, container, address, position in rows:
            self._remember(self._networks[name].lease(container, IPv4Address(address), position))

    def networks(self) -> Iterable[Network]:
        return tuple(self._networks.values())

    def network(self, name: str) -> Network | None:
        return self._networks.get(name)

    def of(self, container: str) -> tuple[Lease, ...]:
        """By position."""
        return tuple(self._of.get(container, ()))

    def add_network(self, network: Network) -> None:
        values = (
            network.name, network.interface, network.owner_uid, str(network.subnet), str(network.subnet6),
            network.created_usec, network.internal,
        )  # fmt: skip
        self._database.execute("INSERT INTO network VALUES (?, ?, ?, ?, ?, ?, ?)", values)
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

    def choose(self, network: Network, container: str, position: int, wanted: str) -> Lease:
        """The next free address, or the wanted one. Nothing is changed yet."""
        pool = self._pools[network.name]
        if not wanted:
            return network.lease(container, IPv4Address(pool.pick(network)), position)
        address = network.check_member(IPv4Address(wanted))
        if int(address) in pool.taken:
            raise AddressInUse(f"address {address} of network {network.name!r} is in use: choose another")
        return network.lease(container, address, position)

    def insert(self, lease: Lease) -> None:
        values = (lease.network, int(lease.address), lease.container, lease.position)
        self._database.execute("INSERT INTO lease (network, address, container, position) VALUES (?, ?, ?, ?)", values)

    def taken(self, lease: Lease) -> None:
        """After the transaction: from here on it is in use, and the next one is looked for behind it."""
        self._remember(lease)
        network = self._networks[lease.network]
        self._pools[lease.network].at = int(lease.address) - network.first + 1

    def freed(self, container: str) -> None:
        """After the transaction that has removed the container, and its leases with it."""
        for lease in self._of.pop(container, ()):
            del self._pools[lease.network].taken[int(lease.address)]

    def _remember(self, lease: Lease) -> None:
        self._pools[lease.network].taken[int(lease.address)] = lease.container
        self._of.setdefault(lease.container, []).append(lease)


def _network(row: tuple[str, str, int, str, str, int, int]) -> Network:
    name, interface, owner_uid, subnet, subnet6, created_usec, internal = row
    return Network(name, interface, owner_uid, IPv4Network(subnet), IPv6Network(subnet6), created_usec, bool(internal))
