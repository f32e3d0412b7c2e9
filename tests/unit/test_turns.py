# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever has hundreds of calls under way holds up others by one piece of work at a time."""

from __future__ import annotations

import asyncio
import itertools

from mctld.bus.turns import Turns

ROOT, ALICE, BOB = 0, 1000, 1001


def order(*calls: tuple[int, int], given_up: int | None = None) -> list[int]:
    """Whose turns came, where users had so many calls each, in this order; one may be given up as it waits."""
    had: list[int] = []

    async def call(turns: Turns, uid: int) -> None:
        await turns.take(uid)
        had.append(uid)

    async def play() -> None:
        turns = Turns()
        tasks = [asyncio.create_task(call(turns, uid)) for uid, count in calls for _ in range(count)]
        await asyncio.sleep(0)
        if given_up is not None:
            tasks[given_up].cancel()
        await asyncio.wait(tasks)

    asyncio.run(play())
    return had


def test_who_comes_last_does_not_wait_for_all_others() -> None:
    had = order((ALICE, 300), (BOB, 1), (ROOT, 1))
    assert had[0] == ALICE  # nobody else was there
    assert had[1:5] == [ALICE, BOB, ROOT, ALICE]
    assert len(had) == 302


def test_root_is_a_user_like_any_other() -> None:
    assert order((ROOT, 4), (ALICE, 3), (BOB, 2)) == [ROOT, ROOT, ALICE, BOB, ROOT, ALICE, BOB, ROOT, ALICE]


def test_a_call_that_is_given_up_is_passed_over() -> None:
    assert order((ALICE, 3), (BOB, 1), given_up=1) == [ALICE, BOB, ALICE]


def test_each_turn_has_a_round_of_the_loop_for_itself() -> None:
    """So that what is read meanwhile, or comes back from polkit, is not behind all that waits."""
    seen: list[str] = []

    async def call(turns: Turns) -> None:
        await turns.take(ALICE)
        seen.append("turn")

    async def rounds() -> None:
        for _ in range(8):
            seen.append("round")
            await asyncio.sleep(0)

    async def play() -> None:
        turns = Turns()
        async with asyncio.timeout(30):
            await asyncio.gather(rounds(), *(call(turns) for _ in range(5)))

    asyncio.run(play())
    assert all(pair != ("turn", "turn") for pair in itertools.pairwise(seen))
    assert seen.count("turn") == 5


def test_who_is_alone_does_not_wait() -> None:
    async def play() -> None:
        turns = Turns()
        for _ in range(3):
            taken = turns.take(ALICE)
            try:
                taken.send(None)
            except StopIteration:
                pass
            else:
                raise AssertionError("it waited")
            await asyncio.sleep(0)

    asyncio.run(play())
