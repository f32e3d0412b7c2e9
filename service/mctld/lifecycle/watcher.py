# SPDX-License-Identifier: GPL-3.0-or-later
"""One who watches a container's output, at the other end of a socket.

Not of a pipe: its lock is a stranger's to keep, runtime/reader.py.
"""

from __future__ import annotations

import asyncio
import os
import socket

from .readiness import writable

PATIENCE = 30.0  # seconds for which one who came later may take nothing while there is something


def watcher_pair() -> tuple[socket.socket, socket.socket]:
    """Ours, into which nobody writes, and theirs."""
    ours, theirs = socket.socketpair()
    ours.shutdown(socket.SHUT_RD)
    return ours, theirs


class Watcher:
    """Owns its descriptor. Without `patience` it may slow the payload down as a pipe does, for as long as it likes."""

    def __init__(self, descriptor: int, *, patience: float | None = None) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor = descriptor
        self.gone = False
        self._patience = patience
        self._rest = memoryview(b"")
        self._waiting = False

    def offer(self, chunk: bytes) -> None:
        """Passes on what is taken without waiting."""
        if not self.gone:
            self._rest = memoryview(chunk)
            self._push()

    async def finish(self) -> None:
        """Returns when it has taken the rest of what it was offered, or has gone."""
        if self._rest and not self.gone:
            await self._wait()

    async def _wait(self) -> None:
        self._waiting = True
        try:
            async with asyncio.timeout(self._patience) as limit:
                while self._rest and not self.gone:
                    await writable(self.descriptor)
                    self._push()
                    if self._patience:
                        limit.reschedule(asyncio.get_running_loop().time() + self._patience)
        except TimeoutError:
            self.dismiss()
        finally:
            self._waiting = False
            if self.gone:
                self._close()

    def dismiss(self) -> None:
        """There is nothing more for it."""
        self.leave()

    def leave(self) -> None:
        """It is served no more."""
        self.gone = True
        if not self._waiting:
            self._close()

    def _push(self) -> None:
        try:
            while self._rest:
                self._rest = self._rest[os.write(self.descriptor, self._rest) :]
        except BlockingIOError:
            return
        except ConnectionError:  # nobody reads any more
            self.dismiss()

    def _close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1
