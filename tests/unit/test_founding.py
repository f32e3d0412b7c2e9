# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks that are made at the same time, and on hosts whose routes lead where they would be."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from mctld.draft import Draft
from mctld.errors import NameTaken, SubnetInUse
from mctld.lifecycle import founding

if TYPE_CHECKING:
    from collections.abc import Callable

    from mctld.networking import Network


def made(*drafts: Draft, check: Callable[[Network], object] = lambda _: None) -> list[Network | BaseException]:
    """Of calls that begin at the same time; each is stored as soon as it is known."""
    known: list[Network] = []

    async def one(draft: Draft) -> Network:
        found = await founding.free(draft, 0, lambda: known, check)
        known.append(found)
        return found

    async def all_of_them() -> list[Network | BaseException]:
        return await asyncio.gather(*map(one, drafts), return_exceptions=True)

    return asyncio.run(all_of_them())


def test_two_at_a_time_get_what_no_other_has() -> None:
    found = made(*(Draft(f"n{number}") for number in range(8)))
    assert not [each for each in found if isinstance(each, BaseException)]
    for what in ("interface", "subnet", "subnet6"):
        assert len({getattr(each, what) for each in found}) == len(found)


def test_of_two_that_want_the_same_one_is_told() -> None:
    subnet = IPv4Network("10.7.0.0/24")
    names, subnets = (Draft("one"), Draft("one")), (Draft("one", subnet), Draft("two", subnet))
    for drafts, kind in ((names, NameTaken), (subnets, SubnetInUse)):
        found = made(*drafts)
        assert sorted(isinstance(each, kind) for each in found) == [False, True]


def test_what_is_left_to_us_makes_way_for_a_route() -> None:
    vpn = IPv4Network("10.90.0.0/22")

    def check(network: Network) -> None:
        if network.subnet.overlaps(vpn):
            raise SubnetInUse(f"{network.subnet} is routed")

    (found,) = made(Draft("one"), check=check)
    assert not isinstance(found, BaseException)
    assert str(found.subnet) == "10.90.4.0/24"
    (refused,) = made(Draft("one", IPv4Network("10.90.1.0/24")), check=check)
    assert isinstance(refused, SubnetInUse)
    vpn = IPv4Network("10.0.0.0/8")
    (refused,) = made(Draft("one"), check=check)
    assert isinstance(refused, SubnetInUse)
