# SPDX-License-Identifier: GPL-3.0-or-later
"""The caller's end of a copy: whoever neither reads nor writes for a while is given up.

A container that does not run is not started meanwhile; nobody shall keep it from that by doing nothing.
"""

from __future__ import annotations

import os
import select
import signal
from typing import NoReturn

from ..images.refusal import Refusal

PATIENCE = 300  # seconds
PIECE = 1 << 20


class Stream:
    """One way only. Its flags are the caller's, and stay."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._held = bytearray()
        signal.signal(signal.SIGALRM, _give_up)

    def read(self, size: int) -> bytes:
        """Also from a thread; empty at the end."""
        poller = select.poll()
        poller.register(self._descriptor, select.POLLIN)
        while True:
            if not poller.poll(PATIENCE * 1000):
                raise Refusal(f"nothing of the archive has come for {PATIENCE} s")
            try:
                return os.read(self._descriptor, size)
            except BlockingIOError:
                continue

    def write(self, data: bytes) -> None:
        """In the main thread; small pieces are gathered."""
        self._held += data
        if len(self._held) >= PIECE:
            self.flush()

    def flush(self) -> None:
        view = memoryview(bytes(self._held))
        self._held.clear()
        poller = select.poll()
        poller.register(self._descriptor, select.POLLOUT)
        while view:
            signal.setitimer(signal.ITIMER_REAL, PATIENCE)
            try:
                view = view[os.write(self._descriptor, view) :]
            except BlockingIOError:
                poller.poll()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)


def _give_up(_number: int, _frame: object) -> NoReturn:
    raise Refusal(f"nobody has read from the archive for {PATIENCE} s")
