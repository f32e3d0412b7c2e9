# SPDX-License-Identifier: GPL-3.0-or-later
"""Threads that are kept for the next piece of work: every start has two, and to make a thread costs as much as such a
piece. Nothing waits for another's thread: where none is idle, one more is made.
"""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Work = Callable[[], None]


class Hands:
    """begin() is called by one thread only. `spare`: how many may be idle."""

    def __init__(self, name: str, spare: int) -> None:
        self._name = name
        self._spare = spare
        self._idle: list[SimpleQueue[Work]] = []

    def begin(self, work: Work) -> None:
        """work: raises nothing, and leaves its thread as it was."""
        if self._idle:
            tasks = self._idle.pop()
        else:
            tasks = SimpleQueue()
            threading.Thread(target=self._serve, args=(tasks,), name=self._name, daemon=True).start()
        tasks.put(work)

    def _serve(self, tasks: SimpleQueue[Work]) -> None:
        while True:
            tasks.get()()
            if len(self._idle) >= self._spare:
                return
            self._idle.append(tasks)
