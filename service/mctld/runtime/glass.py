# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in a pipe can be read before it is taken out: who is killed in between has lost nothing of it.

Whoever writes into the pipe may have made it one of packets (O_DIRECT, pipe(2)): read(2) then gets one of them at a
time, and throws away what it has no room for.
"""

from __future__ import annotations

import os

from ..kernel.pipe import splice, tee


class Glass:
    """A pipe of our own for what others hold. Not for several threads at once."""

    def __init__(self) -> None:
        self._nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        self._open()

    def look(self, pipe: int, size: int) -> bytes:
        """What comes next in it, at most that many bytes, and never more than the 16 buffers of a pipe have.

        Empty at the end, when nobody has the pipe open for writing. BlockingIOError while there is nothing.
        """
        there = tee(pipe, self._writing, size)
        try:
            return self._emptied(there)
        except OSError:  # of the file that a page of it came from: what stays would be the next pipe's
            self._close_pipe()
            self._open()
            raise

    def take(self, pipe: int, size: int) -> None:
        """So many bytes are out, whatever they were written in; fewer where there are no more."""
        while size:
            try:
                taken = splice(pipe, self._nowhere, size)
            except BlockingIOError:
                return
            if not taken:
                return
            size -= taken

    def close(self) -> None:
        self._close_pipe()
        os.close(self._nowhere)

    def _emptied(self, size: int) -> bytes:
        found = os.read(self._reading, size) if size else b""
        while len(found) < size:
            found += os.read(self._reading, size - len(found))
        return found

    def _open(self) -> None:
        self._reading, self._writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def _close_pipe(self) -> None:
        os.close(self._reading)
        os.close(self._writing)
