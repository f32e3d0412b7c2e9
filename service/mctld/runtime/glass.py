# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in a pipe can be read before it is taken out: who is killed in between has lost nothing of it."""

from __future__ import annotations

import os

from ..kernel.pipe import tee


class Glass:
    """A pipe of our own for what others hold. Not for several threads at once."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe2(os.O_CLOEXEC)

    def look(self, pipe: int, size: int) -> bytes:
        """What a read(2) of at most that many bytes would get, though never more than the 16 buffers of a pipe have.

        Empty at the end, when nobody has the pipe open for writing. BlockingIOError while there is nothing.
        """
        there = tee(pipe, self._writing, size)
        return os.read(self._reading, there) if there else b""

    def close(self) -> None:
        os.close(self._reading)
        os.close(self._writing)
