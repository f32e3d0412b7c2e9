# SPDX-License-Identifier: GPL-3.0-or-later
"""Bodies of calls, decoded in turn: what costs much is done beside the event loop, one at a time, and fairly by user.

Decoding holds the interpreter, about a millisecond for each KiB of a dense body: two at a time would be no faster.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from ..errors import LimitsExceeded
from .codec import TooManyValues

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .codec import Message

AT_ONCE = 8 << 10  # bytes of a message that the event loop itself decodes


class Decoding:
    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        self._busy = False
        self._waiting: dict[int, deque[asyncio.Future[None]]] = {}  # by user, who has waited longest first

    async def body(self, message: Message, uid: int) -> list[Any]:
        """Raises LimitsExceeded."""
        try:
            if message.frame.size <= AT_ONCE:
                return message.body()
            async with self._turn(uid):
                return await asyncio.get_running_loop().run_in_executor(self._own_thread(), message.body)
        except TooManyValues as error:
            raise LimitsExceeded(str(error)) from None

    def close(self) -> None:
        if self._thread is not None:
            self._thread.shutdown(wait=False)

    def _own_thread(self) -> ThreadPoolExecutor:
        """asyncio's are for what starts need."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "decoding")
        return self._thread

    @asynccontextmanager
    async def _turn(self, uid: int) -> AsyncIterator[None]:
        """Each user in turn, whoever has how many waiting."""
        if self._busy:
            mine = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(uid, deque()).append(mine)
            try:
                await mine
            except asyncio.CancelledError:
                if not mine.cancelled():
                    self._next()
                elif mine in (queue := self._waiting.get(uid, deque())):  # else it has been passed over meanwhile
                    queue.remove(mine)
                raise
        self._busy = True
        try:
            yield
        finally:
            self._next()

    def _next(self) -> None:
        """Who comes next has the turn from now on."""
        while self._waiting:
            uid = next(iter(self._waiting))
            queue = self._waiting.pop(uid)
            first = queue.popleft() if queue else None
            if queue:
                self._waiting[uid] = queue  # behind all others
            if first is not None and not first.cancelled():
                first.set_result(None)
                return
        self._busy = False
