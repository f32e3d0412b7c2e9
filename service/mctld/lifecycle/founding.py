# SPDX-License-Identifier: GPL-3.0-or-later
"""What a new network gets that was left to the service: an interface and subnets that no other one has."""

from __future__ import annotations

import secrets
import time
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING

from ..errors import LimitsExceeded, SubnetInUse
from ..networking import DEFAULT, Network

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..draft import Draft

POOL = IPv4Network("10.90.0.0/16")  # of networks whose subnet is left to us
POOL_PREFIX = 24
NETWORKS_MAX = 1024


def found(draft: Draft, uid: int, known: Iterable[Network]) -> Network:
    """Raises SubnetInUse and LimitsExceeded."""
    known = list(known)
    subnet = draft.subnet or next((s for s in POOL.subnets(new_prefix=POOL_PREFIX) if not _overlapping(s, known)), None)
    if subnet is None:
        raise LimitsExceeded(f"all subnets of {POOL} are in use: choose one yourself")
    subnet6 = draft.subnet6 or _local_subnet6()
    if clash := _overlapping(subnet, known):
        raise SubnetInUse(f"Subnet {subnet} overlaps {clash.subnet} of {_called(clash, uid)}")
    if clash := next((network for network in known if network.subnet6.overlaps(subnet6)), None):
        raise SubnetInUse(f"Subnet6 {subnet6} overlaps {clash.subnet6} of {_called(clash, uid)}")
    interface = draft.macvlan.parent if draft.macvlan else _interface(draft.name, known)
    created = time.time_ns() // 1_000
    return Network(draft.name, interface, uid, subnet, subnet6, created, draft.internal, draft.macvlan)


def _local_subnet6() -> IPv6Network:
    """A unique local one, RFC 4193: fd, 40 random bits, subnet 0."""
    return IPv6Network((b"\xfd" + secrets.token_bytes(5) + bytes(10), 64))


def _overlapping(subnet: IPv4Network, networks: Iterable[Network]) -> Network | None:
    return next((network for network in networks if network.subnet.overlaps(subnet)), None)


def _called(network: Network, uid: int) -> str:
    return f"network {network.name!r}" if network.is_visible_to(uid) else "another user's network"


def _interface(name: str, networks: Iterable[Network]) -> str:
    """The default network's is mctl0; others take the first number that is free."""
    taken = {network.interface for network in networks}
    numbers = range(0 if name == DEFAULT else 1, NETWORKS_MAX + 1)
    free = next((f"mctl{number}" for number in numbers if f"mctl{number}" not in taken), None)
    if free is None:
        raise LimitsExceeded(f"there are {NETWORKS_MAX} networks already, which is the most: remove one")
    return free
