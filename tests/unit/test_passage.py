# SPDX-License-Identifier: GPL-3.0-or-later
"""Forwarding that somebody switches off: on again at once, and not over and over without a pause."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from mctld.lifecycle.passage import PAUSE, Passage
from mctld.lifecycle.tasks import Tasks
from unit.simulated_time import run

if TYPE_CHECKING:
    from collections.abc import Callable

    from mctld.network.netconf import Netconf


class News:
    def has_closed(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is simulated knows no threads."""

    async def to_thread(work: Callable[[], bool]) -> bool:
        return work()

    monkeypatch.setattr(asyncio, "to_thread", to_thread)


async def heard(times: int, reopen: Callable[[], bool]) -> list[float]:
    """When it was switched on again, in seconds since the first news."""
    clock, tasks = asyncio.get_running_loop().time, Tasks()
    begun, reopened = clock(), list[float]()

    def noted() -> bool:
        reopened.append(clock() - begun)
        return reopen()

    passage = Passage(noted, tasks)
    passage._news = cast("Netconf", News())
    for _ in range(2):
        for _ in range(times):
            passage._look()
        await tasks.finish(60)
    return reopened


def test_news_at_once_is_one_and_the_next_waits(caplog: pytest.LogCaptureFixture) -> None:
    assert run(heard(3, lambda: True)) == [0.0, PAUSE]
    assert caplog.text.count("somebody has switched off forwarding") == 2


def test_what_nobody_needs_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    run(heard(1, lambda: False))
    assert caplog.text == ""


def test_what_cannot_be_switched_on_is_told(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> bool:
        raise OSError(30, "Read-only file system")

    run(heard(1, fail))
    assert "switched off and stays so: Read-only file system" in caplog.text


def test_news_that_comes_while_it_is_switched_on_is_looked_at_too() -> None:
    """Whoever switches it off once more may do so after we have looked."""
    passages = list[Passage]()
    reopened = list[float]()

    async def meanwhile() -> None:
        clock, tasks = asyncio.get_running_loop().time, Tasks()
        begun = clock()

        def reopen() -> bool:
            reopened.append(clock() - begun)
            if len(reopened) == 1:
                passages[0]._look()
            return True

        passages.append(Passage(reopen, tasks))
        passages[0]._news = cast("Netconf", News())
        passages[0]._look()
        await tasks.finish(60)

    run(meanwhile())
    assert reopened == [0.0, PAUSE]
