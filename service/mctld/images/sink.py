# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an archive goes: a caller's file, pipe or socket, whose reader may be slow, or never read at all."""

from __future__ import annotations

import os
import select
import stat
import threading

PIECE = 1 << 20
NEVER_BLOCKS = 4096  # PIPE_BUF: poll(2) promises room for so much in a pipe
LOOK = 500  # milliseconds between two looks at whether somebody has given up


class GivenUp(Exception):
    """cancel() was called."""


class Sink:
    """write() is called in a thread, cancel() from anywhere. The descriptor's flags are the caller's, and stay."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._step = PIECE if stat.S_ISREG(os.fstat(descriptor).st_mode) else NEVER_BLOCKS
        self._poller = select.poll()
        self._poller.register(descriptor, select.POLLOUT)
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        self._cancelled.set()

    def write(self, data: bytes) -> None:
        """BrokenPipeError where nobody reads any more."""
        view = memoryview(data)
        while view:
            while not self._poller.poll(LOOK):
                self._check()
            self._check()
            try:
                view = view[os.write(self._descriptor, view[: self._step]) :]
            except BlockingIOError:  # the caller's own flag
                continue

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise GivenUp
