# SPDX-License-Identifier: GPL-3.0-or-later
"""Work that takes long and goes on without whoever asked for it: seen, waited for, cancelled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..errors import Cancelled, MctlError
from .progress import Progress

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

DONE, FAILED, CANCELLED = "done", "failed", "cancelled"


class Job:
    """`state` is what it does now, or how it ended. Who asks for the same work again gets the same job."""

    def __init__(self, identity: str, kind: str, reference: str, owner_uid: int) -> None:
        self.id = identity
        self.kind = kind
        self.reference = reference
        self.owner_uid = owner_uid
        self.state = "waiting"
        self.bytes = 0
        self.layers_here = 0
        self.progress = Progress()
        self._askers = 1
        self._task: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()
        self._result: Mapping[str, str] = {}
        self._error: MctlError | None = None

    @property
    def has_ended(self) -> bool:
        return self._ended.is_set()

    def belongs_to(self, task: asyncio.Task[None]) -> None:
        self._task = task
        task.add_done_callback(self._has_run)

    def share(self) -> None:
        """One more waits for it."""
        self._askers += 1

    async def cancel(self) -> None:
        """By one of those who asked: with the last of them it ends, and this returns when it has."""
        self._askers -= 1
        if self._askers <= 0 and self._task is not None:
            self._task.cancel()
            await self._ended.wait()

    async def wait(self) -> Mapping[str, str]:
        """What has come of it; raises what went wrong."""
        await self._ended.wait()
        if self._error:
            raise self._error
        return self._result

    async def run(self, work: Callable[[Job], Awaitable[Mapping[str, str]]]) -> None:
        """An error that nobody has put into words is the task's: it is logged whole."""
        try:
            self._result = await work(self)
            self.state = DONE
        except MctlError as error:
            self.state, self._error = FAILED, error
        except asyncio.CancelledError:
            self._cancelled()
        except BaseException:
            self.state = FAILED
            self._error = MctlError(f"the {self.kind} of {self.reference} failed: the service's log tells more")
            raise

    def _has_run(self, task: asyncio.Task[None]) -> None:
        """The last of the task, also of one that was cancelled before its first step."""
        if task.cancelled():
            self._cancelled()
        self._ended.set()

    def _cancelled(self) -> None:
        self.state = CANCELLED
        self._error = Cancelled(f"the {self.kind} of {self.reference} was cancelled, or the service is stopping")
