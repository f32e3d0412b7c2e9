# SPDX-License-Identifier: GPL-3.0-or-later
"""What one peer may have in flight: a flood hurts only its sender."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import LimitsExceeded
from .wire import ASKED_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator

CALLS_MAX = 64
BYTES_MAX = 4 * ASKED_MAX


class Bounds:
    """Counts calls, and the bytes of their messages, until they are answered."""

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    @contextmanager
    def admit(self, sender: str, size: int) -> Iterator[None]:
        """Raises LimitsExceeded."""
        if size > ASKED_MAX:
            raise LimitsExceeded(f"the message has {size} bytes: the most is {ASKED_MAX}")
        if self._calls[sender] >= CALLS_MAX:
            raise LimitsExceeded(f"{CALLS_MAX} calls of yours are not answered yet: wait for an answer")
        if self._bytes[sender] + size > BYTES_MAX:
            raise LimitsExceeded(f"calls of yours with {BYTES_MAX} bytes are not answered yet: wait for an answer")
        self._calls[sender] += 1
        self._bytes[sender] += size
        try:
            yield
        finally:
            self._leave(sender, size)

    def _leave(self, sender: str, size: int) -> None:
        self._calls[sender] -= 1
        self._bytes[sender] -= size
        if not self._calls[sender]:
            del self._calls[sender], self._bytes[sender]
