# SPDX-License-Identifier: GPL-3.0-or-later
"""A container's connections, and what follows from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InvalidArgs
from ..network.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..networking import Lease, Network
    from ..spec import Spec
    from ..store import Record


def connections_of(record: Record, leases: Iterable[tuple[Lease, Network]]) -> list[Connection]:
    """leases: by position."""
    leases = list(leases)
    way_out = next((lease for lease, network in leases if not network.internal), None)
    alias = f"container {record.spec.name}"
    return [Connection(network, lease, alias, leads_out=lease is way_out) for lease, network in leases]


def way_in(connections: Iterable[Connection], record: Record) -> Lease:
    """Where published ports lead to. Raises InvalidArgs."""
    found = next((connection for connection in connections if connection.leads_out), None)
    if found is None:
        raise InvalidArgs(f"container {record.spec.name!r} has no network with a way in: no port can be published")
    if found.network.macvlan:
        raise _passes_host_by(record.spec, found.network)
    return found.lease


def check_way_in(spec: Spec, networks: Iterable[Network]) -> None:
    """Of a container that is to be made: what can be known before it has addresses. Raises InvalidArgs."""
    way_out = next((network for network in networks if not network.internal), None)
    if spec.networking.ports and way_out is not None and way_out.macvlan:
        raise _passes_host_by(spec, way_out)


def _passes_host_by(spec: Spec, network: Network) -> InvalidArgs:
    return InvalidArgs(
        f"container {spec.name!r} leads out by network {network.name!r}, a macvlan, which passes this host by: "
        "no port can be published; what it listens on is reached at its own address there"
    )


def name_server(connections: Iterable[Connection]) -> str:
    """The host's address on the network that leads out, or on the first where it has one; or empty."""
    with_host = [connection for connection in connections if connection.network.macvlan is None]
    with_host.sort(key=lambda connection: not connection.leads_out)
    return str(with_host[0].network.gateway) if with_host else ""


def ends_on_host(connections: Iterable[Connection]) -> tuple[str, ...]:
    return tuple(connection.link for connection in connections if connection.network.macvlan is None)


def without_end(connections: Iterable[Connection]) -> tuple[str, ...]:
    """The interfaces inside that have no end on the host."""
    return tuple(connection.inside for connection in connections if connection.network.macvlan)
