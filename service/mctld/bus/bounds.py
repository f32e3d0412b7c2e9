# SPDX-License-Identifier: GPL-3.0-or-later
"""What one peer may have in flight, and one user ask in a time: a flood hurts only its sender."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from ..errors import LimitReached, LimitsExceeded
from .wire import ASKED_MAX

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS_MAX = 64
BYTES_MAX = 4 * ASKED_MAX


BURST = 10  # seconds' worth of calls may come at once
CALL_BYTES = 1 << 10  # of a message cost as much as a call: where they are dense, it takes as long to decode them
_ROUNDING = 1e-6  # seconds
USERS_MAX = 1_024  # beyond, those who have long been quiet are forgotten


class Rate:
    """A bucket of calls for each user, which fills at `most` a second; None: nobody is bounded."""

    def __init__(self, most: int | None, now: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._now = now
        self._full: dict[int, float] = {}  # when the bucket of a user will be full again

    def take(self, uid: int, size: int = 0) -> None:
        """size: of the message, in bytes; the longest costs no more than a full bucket. Raises LimitReached."""
        if self._most is None or uid == 0:
            return
        now = self._now()
        cost = min(1 + size // CALL_BYTES, BURST * self._most)
        full = max(now, self._full.get(uid, 0)) + cost / self._most
        if full - now > BURST + _ROUNDING:
            raise LimitReached(
                f"user {uid} calls more often than {self._most} times a second, the most for one user"
                f" ({'a long message counts for several; ' if cost > 1 else ''}CallsPerSecond= in mctld.conf(5)):"
                " wait a little"
            )
        if uid not in self._full and len(self._full) >= USERS_MAX:
            self._full = {other: then for other, then in self._full.items() if then > now}
        self._full[uid] = full


class Bounds:
    """Counts calls, and the bytes of their messages, until they are answered."""

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    def admit(self, sender: str, size: int) -> None:
        """Until leave(). Raises LimitsExceeded."""
        if size > ASKED_MAX:
            raise LimitsExceeded(f"the message has {size} bytes: the most is {ASKED_MAX}")
        if self._calls[sender] >= CALLS_MAX:
            raise LimitsExceeded(f"{CALLS_MAX} calls of yours are not answered yet: wait for an answer")
        if self._bytes[sender] + size > BYTES_MAX:
            raise LimitsExceeded(f"calls of yours with {BYTES_MAX} bytes are not answered yet: wait for an answer")
        self._calls[sender] += 1
        self._bytes[sender] += size

    def leave(self, sender: str, size: int) -> None:
        self._calls[sender] -= 1
        self._bytes[sender] -= size
        if not self._calls[sender]:
            del self._calls[sender], self._bytes[sender]
