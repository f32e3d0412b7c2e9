# SPDX-License-Identifier: GPL-3.0-or-later
"""What has been told reaches the disk soon, behind everybody's back: an fsync(2) is slow, and many can share one."""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING

from . import durable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

log = logging.getLogger(__name__)

PAUSE = 0.25  # seconds in which more may come, to share each fsync(2): it may hold up everybody who writes to that disk


class Settlement:
    """`records` puts the database on the disk; files go first, so that no row is there whose files are not.

    A daemon thread, from the first change on: nothing is lost with it but when power is lost as well.
    """

    def __init__(self, records: Callable[[], None], pause: float = PAUSE) -> None:
        self._records = records
        self._pause = pause
        self._changed = threading.Condition()
        self._paths: dict[str, None] = {}  # in the order in which they were told
        self._told = self._done = 0
        self._thread: threading.Thread | None = None
        self._over = threading.Event()

    def tell(self, *paths: str) -> int:
        """The database and these files and directories have changed. What to wait for, if somebody wants to."""
        with self._changed:
            self._paths |= dict.fromkeys(paths)
            self._told += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="settlement", daemon=True)
                self._thread.start()
            self._changed.notify_all()
            return self._told

    def wait(self, told: int) -> None:
        """In a thread. When it returns no loss of power takes back what was told, unless the disk itself fails."""
        with self._changed:
            self._changed.wait_for(lambda: self._done >= told)

    def close(self) -> None:
        """After this nothing is told any more."""
        with self._changed:
            self._over.set()
            self._changed.notify_all()
        if self._thread:
            self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._done < self._told or self._over.is_set())
                if self._done == self._told:
                    return
            self._over.wait(self._pause)
            with self._changed:
                told, paths = self._told, tuple(self._paths)
                self._paths.clear()
            self._settle(paths)
            with self._changed:
                self._done = told
                self._changed.notify_all()

    def _settle(self, paths: Iterable[str]) -> None:
        """On a disk that fails, or is so full that this fails, what waits goes on all the same: it may make room."""
        try:
            for path in paths:
                with contextlib.suppress(FileNotFoundError):
                    durable.settle(path)
            self._records()
        except OSError as error:
            log.warning("what has changed would not outlive a loss of power now: %s", error)
