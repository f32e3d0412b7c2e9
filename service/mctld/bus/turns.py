# SPDX-License-Identifier: GPL-3.0-or-later
"""Users' calls are worked on in turn: whoever has hundreds under way holds up others by one piece of work at a time."""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """A turn is what a call does until it waits for something: parsing, a list, an answer. One of them begins in each
    round of the event loop, of each user with calls that wait for one after the other, root's too.
    """

    def __init__(self) -> None:
        self._busy = False
        self._waiting: dict[int, deque[asyncio.Future[None]]] = {}  # by user, who has waited longest first

    async def take(self, uid: int) -> None:
        """Returns when it is this call's turn; it need not be given back."""
        loop = asyncio.get_running_loop()
        if not self._busy:
            self._busy = True
            loop.call_soon(self._next)
            return
        mine = loop.create_future()
        self._waiting.setdefault(uid, deque()).append(mine)
        await mine

    def _next(self) -> None:
        """Whoever had the turn waits by now, or is done. A call that was given up meanwhile is passed over."""
        while self._waiting:
            uid = next(iter(self._waiting))
            queue = self._waiting.pop(uid)
            first = queue.popleft()
            if queue:
                self._waiting[uid] = queue  # behind all others
            if not first.done():
                first.set_result(None)
                asyncio.get_running_loop().call_soon(self._next)  # after the step that this wakes
                return
        self._busy = False
