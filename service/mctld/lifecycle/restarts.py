# SPDX-License-Identifier: GPL-3.0-or-later
"""The starts that are to come: one timer for each container that waits, and only so many starts at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from .tasks import Tasks

    Again = Callable[[], Coroutine[Any, Any, None]]

AT_ONCE = 8  # after a boot all of them are due together


class Restarts:
    """Nothing is started before open() or after close(): what is due waits, or is left to the service's next start."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._places = asyncio.Semaphore(AT_ONCE)
        self._waiting: dict[str, tuple[float, Again]] = {}  # by id: when, by the loop's clock, and what
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._open = False

    def plan(self, identity: str, seconds: float, again: Again) -> None:
        """In place of what was planned for it."""
        self.cancel(identity)
        self._waiting[identity] = (asyncio.get_running_loop().time() + max(0.0, seconds), again)
        if self._open:
            self._arm(identity)

    def cancel(self, identity: str) -> None:
        self._waiting.pop(identity, None)
        if timer := self._timers.pop(identity, None):
            timer.cancel()

    def open(self) -> None:
        self._open = True
        for identity in self._waiting:
            self._arm(identity)

    def close(self) -> None:
        self._open = False
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _arm(self, identity: str) -> None:
        when, _ = self._waiting[identity]
        self._timers[identity] = asyncio.get_running_loop().call_at(when, self._due, identity)

    def _due(self, identity: str) -> None:
        del self._timers[identity]
        _, again = self._waiting.pop(identity)
        self._tasks.start(self._run(again), f"restart {identity}")

    async def _run(self, again: Again) -> None:
        async with self._places:
            if self._open:
                await again()
