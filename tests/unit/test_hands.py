# SPDX-License-Identifier: GPL-3.0-or-later
"""A thread is kept for the next piece of work, and nobody waits for another's."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from mctld.lifecycle.hands import Hands

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 30.0  # seconds; nothing here takes that long


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_the_next_piece_of_work_has_the_same_thread() -> None:
    hands, seen = Hands("files", 2), []
    for count in range(1, 4):
        hands.begin(lambda: seen.append(threading.current_thread()))
        until(lambda: len(seen) == count and len(hands._idle) == 1)  # noqa: B023  it is waited for here
    assert len(set(seen)) == 1
    assert seen[0].name == "files"
    assert seen[0].daemon


def test_work_that_hangs_holds_up_no_other_and_not_all_threads_are_kept() -> None:
    hands, gone, done = Hands("files", 1), threading.Event(), threading.Semaphore(0)
    threads: list[threading.Thread] = []

    def hang() -> None:
        threads.append(threading.current_thread())
        assert gone.wait(PATIENCE)
        done.release()

    for _ in range(3):
        hands.begin(hang)
    until(lambda: len(threads) == 3)
    hands.begin(done.release)
    assert done.acquire(timeout=PATIENCE)
    gone.set()
    until(lambda: sum(thread.is_alive() for thread in threads) <= 1)
    until(lambda: len(hands._idle) == 1)
