# SPDX-License-Identifier: GPL-3.0-or-later
"""How often one user may call: a flood is refused, and nobody else notices."""

from __future__ import annotations

from bus.house import ALICE, BOB, ROOT_UID, House
from bus.polkit import YES
from mctld.bus.bounds import BURST, CALL_BYTES, USERS_MAX, Rate
from mctld.bus.connection import RemoteError
from mctld.errors import LimitReached
from mctld.quotas import Quotas


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def taken(rate: Rate, uid: int) -> int:
    """How many calls are let through at once."""
    for number in range(100 * BURST):
        try:
            rate.take(uid)
        except LimitReached:
            return number
    return -1


def test_a_bucket_fills_again() -> None:
    clock = Clock()
    rate = Rate(5, clock)
    assert taken(rate, ALICE) == 5 * BURST
    assert taken(rate, BOB) == 5 * BURST
    clock.now += 2.05
    assert taken(rate, ALICE) == 10
    clock.now += 1000
    assert taken(rate, ALICE) == 5 * BURST


def test_what_is_long_counts_for_several() -> None:
    rate = Rate(5, Clock())
    rate.take(ALICE, 10 * CALL_BYTES)
    assert taken(rate, ALICE) == 5 * BURST - 11
    rate.take(BOB, 1_000_000 * CALL_BYTES)  # with a full bucket anything goes, and nothing after it
    assert taken(rate, BOB) == 0


def test_root_and_infinity_are_not_bounded() -> None:
    assert taken(Rate(5, Clock()), ROOT_UID) == -1
    assert taken(Rate(None, Clock()), ALICE) == -1


def test_users_who_are_quiet_are_forgotten() -> None:
    clock = Clock()
    rate = Rate(5, clock)
    for uid in range(1, USERS_MAX + 1):
        rate.take(uid)
    clock.now += 60
    rate.take(USERS_MAX + 1)
    assert len(rate._full) == 1


async def test_the_sentence_names_the_setting(bus: str) -> None:
    async with House(bus, quotas=Quotas(calls=3)) as house:
        house.polkit.decide = lambda _: YES
        alice, again, bob = [await house.client(uid) for uid in (ALICE, ALICE, BOB)]
        for number in range(10 * BURST):  # a slow machine fills the bucket meanwhile
            try:
                await (alice, again)[number % 2].manager("Can", "as", ["Privileged"])
            except RemoteError as refused:
                error = refused
                break
        assert number >= 3 * BURST
        assert error.name == "org.mctl1.Error.LimitReached"
        assert error.text == (
            "user 1000 calls more often than 3 times a second, the most for one user"
            " (CallsPerSecond= in mctld.conf(5)): wait a little"
        )
        await bob.manager("Can", "as", ["Privileged"])
