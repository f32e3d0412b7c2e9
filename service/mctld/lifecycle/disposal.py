# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes what containers have written, behind everybody's back: a directory may take long, a stop must not wait."""

from __future__ import annotations

import logging
import os
import queue
import shutil
import subprocess
import threading

log = logging.getLogger(__name__)


class Disposal:
    """A daemon thread: what it has not come to when the service ends, the next instance finds and removes."""

    def __init__(self) -> None:
        self._directories: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="disposal", daemon=True).start()

    def add(self, directory: str) -> None:
        self._directories.put(directory)

    def _work(self) -> None:
        while True:
            discard(self._directories.get())


def discard(directory: str) -> None:
    """Everything below, however deep and however named by a payload that means harm. A failure is told, not raised.

    Neither way follows a symlink. shutil.rmtree costs no process but recurses, and Python recurses a thousand times.
    """
    if not os.path.lexists(directory):
        return
    try:
        shutil.rmtree(directory)
    except (OSError, RecursionError):
        removal = subprocess.run(["rm", "-rf", "--", directory], capture_output=True, text=True, check=False)
        if removal.returncode:
            log.warning("%s is left behind: %s", directory, removal.stderr.strip()[-500:])
