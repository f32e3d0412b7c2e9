# SPDX-License-Identifier: GPL-3.0-or-later
"""Threads for what touches files of users, a few for each owner: a file system may be slow, or gone, and then hold up
every thread that looks into it. Nobody else's start shall wait for that.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from .alone import elsewhere
from .hands import Hands

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import ExitStack

WIDTH = 6  # as many as asyncio has of its own on a host with two processors
LOOKS = 2  # where no disk is waited for, but the interpreter kept busy: it is everybody's
T = TypeVar("T")


class Lanes:
    def __init__(self, width: int = WIDTH) -> None:
        self._width = width
        self._lanes: dict[int, asyncio.Semaphore] = {}
        self._hands = Hands("files", WIDTH)

    async def run(
        self,
        uid: int,
        work: Callable[[], T],
        lent: ExitStack,
        undo: Callable[[T], None],
        ready: Callable[[], Awaitable[None]] | None = None,
    ) -> T:
        """What `work` returns or raises. It cannot be stopped, so nobody waits for it who is cancelled: `undo` then
        takes what it returns, the place is free when it has ended, and what is lent to it is closed no earlier.
        `ready` is awaited when its turn has come; what it raises ends the matter.
        """
        lane = self._lanes.setdefault(uid, asyncio.Semaphore(self._width))
        with lent:
            await lane.acquire()
            try:
                if ready is not None:
                    await ready()
            except BaseException:
                lane.release()
                raise
            kept = lent.pop_all()
        task = asyncio.ensure_future(elsewhere(work, self._hands.begin))
        task.add_done_callback(lambda _: lane.release())
        task.add_done_callback(lambda _: kept.close())
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(lambda done: _given_up(done, undo))
            raise


def _given_up(done: asyncio.Future[T], undo: Callable[[T], None]) -> None:
    if not done.cancelled() and done.exception() is None:
        undo(done.result())
