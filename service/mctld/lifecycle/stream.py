# SPDX-License-Identifier: GPL-3.0-or-later
"""A stream of the journal's for what passes through the service: opened anew when it is broken, and waited for.

journald's restarts break no stream, since PID 1 keeps them. To stop it, with its sockets, does before systemd 254; then
they are kept, but what is in them goes with whoever has written it. So until journald is back what a payload prints
stays in its pipe, and nobody else is held up.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import struct
from typing import TYPE_CHECKING

from .custody import until_read
from .readiness import writable

if TYPE_CHECKING:
    from collections.abc import Callable

    from .custody import Custody
    from .epilogue import Epilogue

SCM_CREDENTIALS = 2  # linux/socket.h; Python's socket module has it from 3.13 on
RETRY = 1.0  # seconds
BROKEN = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN)

log = logging.getLogger(__name__)


class JournalStream:
    """make: opens one, or raises OSError. stream: one that is open already; else the first line opens it. look: raises
    OSError where there is no journal now, though the stream is open.

    Lines go under the credentials of the container's first process, so that journald finds its unit and with it the
    fields. That is a zombie until we have done, hence its pid can be named, unless PID 1 is its parent; then, and when
    part() was called, the rest is for the epilogue.
    """

    def __init__(
        self,
        make: Callable[[], socket.socket],
        afterwards: Callable[[], Epilogue],
        stream: socket.socket | None = None,
        look: Callable[[], None] = lambda: None,
    ) -> None:
        self._make = make
        self._afterwards = afterwards
        self._look = look
        self._epilogue: Epilogue | None = None
        self._stream: socket.socket | None = None
        self._told = False
        if stream is not None:
            self._use(stream)

    async def send(self, data: memoryview, credentials: tuple[int, int, int]) -> int:
        """How much of it the journal has. Waits until there is one. credentials: pid, uid and gid on the host."""
        ancillary = [(socket.SOL_SOCKET, SCM_CREDENTIALS, struct.pack("3i", *credentials))]
        while self._epilogue is None:
            try:
                self._look()
                stream = self._stream or self._use(self._make())
            except OSError as error:  # BlockingIOError: journald is stuck, and many wait for it
                await self._wait(error)
                continue
            try:
                sent = stream.sendmsg([data], ancillary)
            except BlockingIOError:
                await writable(stream.fileno())
            except ProcessLookupError:
                self.part()
            except OSError as error:
                if error.errno not in BROKEN:
                    raise
                self._close_stream()
                await self._wait(error)
            else:
                self._told = False
                return sent
        await self._epilogue.send(bytes(data))
        return len(data)

    async def hand_over(self, custody: Custody) -> None:
        """Before the first line. What hangs up meanwhile is opened anew with it."""
        if self._stream is not None and not await custody.has(self._stream):
            self._close_stream()

    async def finish(self) -> None:
        """All has been sent."""
        if self._epilogue is not None:
            await self._epilogue.finish()

    async def taken(self) -> None:
        """Returns when journald has read all of it, or never will.

        While journald is away PID 1 has the other end, and drops it with what is unread as soon as this one is closed.
        """
        if self._stream is not None:
            await until_read(self._stream)

    def part(self) -> None:
        """The first process is about to be reaped, or was: its pid may be another's."""
        if self._epilogue is None:
            self._epilogue = self._afterwards()

    def close(self) -> None:
        self._close_stream()
        if self._epilogue is not None:
            self._epilogue.close()

    def _close_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._stream = None

    def _use(self, stream: socket.socket) -> socket.socket:
        stream.settimeout(0)
        self._stream = stream
        return stream

    async def _wait(self, error: OSError) -> None:
        if not self._told:
            log.warning("output waits for the journal: %s", error)
            self._told = True
        await asyncio.sleep(RETRY)
