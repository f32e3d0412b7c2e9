# SPDX-License-Identifier: GPL-3.0-or-later
"""A child that somebody else waits for, pidfd_open(2)."""

from __future__ import annotations

import contextlib
import os
import signal


class Handle:
    """Of a child of asyncio's.

    Its own kill() looks first whether the child has ended, and so, in Python 3.11, takes the exit status from who waits
    for it, which says so in a warning.
    """

    def __init__(self, pid: int) -> None:
        try:
            self._pidfd = os.pidfd_open(pid)
        except ProcessLookupError:  # it has been waited for already
            self._pidfd = -1

    def send(self, number: int) -> None:
        """Nothing, if it has ended."""
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def close(self) -> None:
        if self._pidfd >= 0:
            os.close(self._pidfd)
        self._pidfd = -1
