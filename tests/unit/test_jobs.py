# SPDX-License-Identifier: GPL-3.0-or-later
"""A job ends once, tells all who wait, and with the last of those who asked."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING

import pytest

from mctld.errors import BadImage, Cancelled, MctlError
from mctld.lifecycle.job import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping


def in_a_loop(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    @functools.wraps(test)
    def run() -> None:
        asyncio.run(asyncio.wait_for(test(), 20))

    return run


def job() -> Job:
    return Job("a1", "pull", "example.org/web:1", 1000)


@in_a_loop
async def test_all_who_wait_get_the_result() -> None:
    made, gate = job(), asyncio.Event()

    async def work(same: Job) -> Mapping[str, str]:
        same.tell_layers(1, 3)
        await gate.wait()
        return {"Id": "x"}

    running = asyncio.create_task(made.run(work))
    waiting = [asyncio.create_task(made.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (made.state, made.layers, made.has_ended) == ("unpacking", (1, 3), False)
    gate.set()
    assert await asyncio.gather(*waiting) == [{"Id": "x"}] * 3
    assert (made.state, await made.wait()) == ("done", {"Id": "x"})
    await running


@in_a_loop
async def test_it_ends_with_the_last_who_asked() -> None:
    made, ended = job(), []

    async def work(_: Job) -> Mapping[str, str]:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("cleaned up")
        return {}

    task = asyncio.create_task(made.run(work))
    made.belongs_to(task)
    made.share()
    await asyncio.sleep(0)
    made.cancel()
    await asyncio.sleep(0)
    assert not made.has_ended
    made.cancel()
    with pytest.raises(Cancelled, match=r"the pull of example\.org/web:1 was cancelled"):
        await made.wait()
    await task
    assert (made.state, ended) == ("cancelled", ["cleaned up"])


@in_a_loop
async def test_failures_are_told_and_surprises_are_not() -> None:
    made = job()

    async def refused(_: Job) -> Mapping[str, str]:
        raise BadImage("it is damaged")

    await made.run(refused)
    with pytest.raises(BadImage, match="it is damaged"):
        await made.wait()
    assert made.state == "failed"
    made = job()

    async def broken(_: Job) -> Mapping[str, str]:
        raise ZeroDivisionError("secret")

    with pytest.raises(ZeroDivisionError):
        await made.run(broken)
    with pytest.raises(MctlError, match=r"the service's log tells more") as told:
        await made.wait()
    assert "secret" not in str(told.value)
