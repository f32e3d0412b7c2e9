# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of one user that cannot be reached hold up nobody else."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

import pytest

from mctld.errors import LimitsExceeded
from mctld.lifecycle.lanes import Lanes

if TYPE_CHECKING:
    from collections.abc import Callable

ALICE, BOB = 1000, 1001
T = TypeVar("T")


async def run(lanes: Lanes, uid: int, work: Callable[[], T]) -> T:
    return await lanes.run(uid, work, ExitStack(), lambda _: None)


def test_a_file_system_that_hangs_is_its_owners_matter() -> None:
    gone = threading.Event()
    begun: list[int] = []

    def hang(number: int) -> None:
        begun.append(number)
        assert gone.wait(60)

    async def play() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        lanes = Lanes(2)
        stuck = [asyncio.create_task(run(lanes, ALICE, lambda n=n: hang(n))) for n in range(3)]  # type: ignore[misc]
        while len(begun) < 2:
            await asyncio.sleep(0.001)
        async with asyncio.timeout(30):
            assert await run(lanes, BOB, lambda: "bob's") == "bob's"
            assert await asyncio.to_thread(lambda: "anybody's") == "anybody's"
        stuck[0].cancel()  # its thread is where it was, and counts
        await asyncio.wait([stuck[0]])
        assert begun == [0, 1]
        gone.set()
        await asyncio.gather(*stuck[1:])
        assert begun == [0, 1, 2]

    asyncio.run(play())


def test_what_fails_is_told_and_makes_room() -> None:
    async def play() -> None:
        lanes = Lanes(1)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                await run(lanes, ALICE, lambda: 1 // 0)
        assert await run(lanes, ALICE, lambda: 7) == 7

    asyncio.run(play())


@pytest.mark.parametrize("begun", [True, False])
def test_what_is_lent_to_a_thread_is_closed_when_it_has_ended(begun: bool) -> None:  # noqa: FBT001
    """Whoever is cancelled meanwhile closes nothing under its hands, and what it makes goes to nobody but `undo`."""
    gone, seen = threading.Event(), []

    def work() -> str:
        assert gone.wait(60)
        seen.append("worked")
        return "made"

    async def play() -> None:
        lanes, lent = Lanes(1), ExitStack()
        lent.callback(seen.append, "closed")
        if not begun:
            other = asyncio.create_task(run(lanes, ALICE, lambda: gone.wait(60)))
            await asyncio.sleep(0)
        task = asyncio.create_task(lanes.run(ALICE, work, lent, seen.append))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        assert seen == ([] if begun else ["closed"])
        gone.set()
        async with asyncio.timeout(30):
            while begun and len(seen) < 3:
                await asyncio.sleep(0.001)
            if not begun:
                await other
        assert seen == (["worked", "closed", "made"] if begun else ["closed"])

    asyncio.run(play())


def test_who_is_refused_when_the_turn_has_come_leaves_the_place() -> None:
    async def refuse() -> None:
        raise LimitsExceeded("read first")

    async def play() -> None:
        lanes, lent, closed, done = Lanes(1), ExitStack(), list[str](), list[str]()
        lent.callback(lambda: closed.append("lent"))
        with pytest.raises(LimitsExceeded):
            await lanes.run(ALICE, lambda: done.append("refused"), lent, lambda _: None, refuse)
        assert (closed, done) == (["lent"], [])
        assert await run(lanes, ALICE, lambda: "next") == "next"

    asyncio.run(play())
