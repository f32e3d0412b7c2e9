# SPDX-License-Identifier: GPL-3.0-or-later
"""What a new network gets that was left to the service: an interface and subnets that no other one has."""

from __future__ import annotations

import asyncio
import secrets
import time
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING

from ..errors import LimitsExceeded, NameTaken, SetupFailed, SubnetInUse
from ..networking import DEFAULT, Network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..draft import Draft

POOL = IPv4Network("10.90.0.0/16")  # of networks whose subnet is left to us
POOL_PREFIX = 24
NETWORKS_MAX = 1024
TRIES = 16  # each asks the kernel for all routes


async def free(
    draft: Draft, uid: int, known: Callable[[], Iterable[Network]], check: Callable[[Network], object]
) -> Network:
    """One that nobody has when this returns. check: blocking; whether a route of the host's leads there, SubnetInUse.

    What was left to us is looked for further where one does.
    """
    routed: list[IPv4Network] = []
    while True:
        before = tuple(known())
        if any(network.name == draft.name for network in before):
            raise NameTaken(f"network name {draft.name!r} is taken: choose another")
        made = found(draft, uid, before, routed)
        try:
            await asyncio.to_thread(check, made)
        except SubnetInUse:
            if draft.subnet is not None or len(routed) >= TRIES:
                raise
            routed.append(made.subnet)
        except OSError as error:
            raise SetupFailed("look for routes", error.strerror or error) from error
        else:
            if tuple(known()) == before:  # else others were served meanwhile
                return made


def found(draft: Draft, uid: int, known: Iterable[Network], routed: Sequence[IPv4Network] = ()) -> Network:
    """routed: subnets that are not wanted. Raises SubnetInUse and LimitsExceeded."""
    known = list(known)
    pool = (subnet for subnet in POOL.subnets(new_prefix=POOL_PREFIX) if subnet not in routed)
    subnet = draft.subnet or next((subnet for subnet in pool if not _overlapping(subnet, known)), None)
    if subnet is None:
        raise LimitsExceeded(f"all subnets of {POOL} are in use: choose one yourself")
    subnet6 = draft.subnet6 or _local_subnet6()
    if clash := _overlapping(subnet, known):
        raise SubnetInUse(f"Subnet {subnet} overlaps {clash.subnet} of {_called(clash, uid)}")
    if clash := next((network for network in known if network.subnet6.overlaps(subnet6)), None):
        raise SubnetInUse(f"Subnet6 {subnet6} overlaps {clash.subnet6} of {_called(clash, uid)}")
    interface = draft.macvlan.parent if draft.macvlan else _interface(draft.name, known)
    created = time.time_ns() // 1_000
    return Network(draft.name, interface, uid, subnet, subnet6, created, draft.internal, draft.macvlan, draft.mtu)


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
