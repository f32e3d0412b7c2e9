# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes what containers have written, behind everybody's back: a directory may take long, a stop must not wait."""

from __future__ import annotations

import logging
import os
import queue
import shutil
import subprocess
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    # What is to be done before it is removed; tells where it is then, if that is another place.
    Before = Callable[[str], str | None]

log = logging.getLogger(__name__)


TRIES = 60


class Disposal:
    """A daemon thread: what it has not come to when the service ends, the next instance finds and removes."""

    def __init__(self, pause: float = 1.0) -> None:
        self._pause = pause  # seconds
        self._directories: queue.SimpleQueue[tuple[str, Before | None, int]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="disposal", daemon=True).start()

    def add(self, directory: str, before: Before | None = None) -> None:
        self._directories.put((directory, before, TRIES))

    def _work(self) -> None:
        while True:
            directory, before, tries = self._directories.get()
            try:
                discard((before(directory) if before else None) or directory)
            except Exception as error:  # no descriptors, no processes: the thread must outlive such times
                self._try_later(directory, before, tries - 1, error)

    def _try_later(self, directory: str, before: Before | None, tries: int, error: Exception) -> None:
        if not tries:
            log.warning("%s is left behind until the service starts anew: %s", directory, error)
            return
        time.sleep(self._pause)
        self._directories.put((directory, before, tries))


def discard(directory: str) -> None:
    """Everything below, however deep and however named by a payload that means harm. A failure is told, not raised.

    Neither way follows a symlink. shutil.rmtree costs no process but recurses, and Python recurses a thousand times.
    Only one pipe: where descriptors are short, subprocess of Python 3.11 forgets the first if it cannot make a second.
    """
    if not os.path.lexists(directory):
        return
    try:
        shutil.rmtree(directory)
    except (OSError, RecursionError):
        removal = subprocess.run(["rm", "-rf", "--", directory], stderr=subprocess.PIPE, text=True, check=False)
        if removal.returncode:
            log.warning("%s is left behind: %s", directory, removal.stderr.strip()[-500:])
