# SPDX-License-Identifier: GPL-3.0-or-later
"""A job that is cancelled has ended when its canceller hears so, however early that came."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from mctld.errors import Cancelled
from mctld.lifecycle.job import CANCELLED, DONE, Job

if TYPE_CHECKING:
    from collections.abc import Mapping


def job() -> Job:
    return Job("a0", "pull", "example.org/box", 1000)


def test_what_is_cancelled_has_ended() -> None:
    left: list[str] = []

    async def work(_: Job) -> Mapping[str, str]:
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.05)  # skopeo's service is stopped
            left.append("nothing")
        return {}

    async def scene() -> None:
        one = job()
        one.belongs_to(asyncio.ensure_future(one.run(work)))
        one.share()
        await asyncio.sleep(0)
        await one.cancel()
        assert (one.has_ended, one.state) == (False, "waiting")  # another still waits for it
        await one.cancel()
        assert (left, one.has_ended, one.state) == (["nothing"], True, CANCELLED)
        with pytest.raises(Cancelled, match=r"the pull of example\.org/box was cancelled"):
            await one.wait()

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_one_that_had_not_begun() -> None:
    async def work(_: Job) -> Mapping[str, str]:
        raise AssertionError("never begun")

    async def scene() -> None:
        one = job()
        one.belongs_to(asyncio.ensure_future(one.run(work)))
        await one.cancel()
        assert (one.has_ended, one.state) == (True, CANCELLED)
        with pytest.raises(Cancelled):
            await one.wait()

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_one_that_has_ended_already() -> None:
    async def work(_: Job) -> Mapping[str, str]:
        return {"Id": "x"}

    async def scene() -> None:
        one = job()
        one.belongs_to(asyncio.ensure_future(one.run(work)))
        assert await one.wait() == {"Id": "x"}
        await one.cancel()
        assert (one.has_ended, one.state) == (True, DONE)

    asyncio.run(asyncio.wait_for(scene(), 30))
