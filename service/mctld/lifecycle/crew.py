# SPDX-License-Identifier: GPL-3.0-or-later
"""The readers of one owner's pipes: one, and another where a pipe has got that one stuck.

All of them have all pipes, and each demand is taken up by who comes to it first.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from typing import TYPE_CHECKING

from .held import PATIENCE, Held
from .reader import Reader
from .readiness import readable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .tasks import Tasks

MOST = 4  # stuck ones included: with so many pipes of an owner's stuck, the rest of them wait as well
LINGER = 30.0  # seconds without a pipe, after which the readers end: the next start is often close, and need not wait
AGAIN = 1.0  # seconds until another is tried where one could not be started
FIND_TIMEOUT = 10.0  # seconds for a FIFO to be opened

log = logging.getLogger(__name__)


class Crew:
    """`begin` makes a process that serves a socket; `set_aside` puts one that is stuck where nobody waits for it."""

    def __init__(
        self, begin: Callable[[socket.socket], int], set_aside: Callable[[int], Awaitable[None]], tasks: Tasks
    ) -> None:
        self._begin = begin
        self._set_aside = set_aside
        self._tasks = tasks
        self._held: set[Held] = set()
        self._readers: list[Reader] = []
        self._mending: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._finding = 0

    def hold(self, descriptor: int, what: str) -> Held:
        """Takes it over."""
        try:
            held = Held(self, descriptor, what)
        except OSError:
            os.close(descriptor)
            raise
        self._held.add(held)
        for reader in self._readers:
            reader.hold(held)
        self._look_after()
        return held

    async def find(self, path: str) -> int | None:
        """Opens a FIFO for reading; None where nobody could meanwhile, as it is stuck."""
        place = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        wire, theirs = socket.socketpair()
        wire.settimeout(0)
        self._finding += 1
        try:
            with wire, theirs:
                self._look_after()
                for reader in [reader for reader in self._readers if reader.works][:1]:
                    reader.find(place, theirs.fileno())
                async with asyncio.timeout(FIND_TIMEOUT):
                    await readable(wire.fileno())
                _, found, _, _ = socket.recv_fds(wire, 16, 1, socket.MSG_CMSG_CLOEXEC)
                return found[0] if found else None
        except TimeoutError:
            self.late()
            return None
        finally:
            os.close(place)
            self._finding -= 1
            self._look_after()

    def release(self, held: Held) -> None:
        self._held.discard(held)
        self._look_after()

    def late(self) -> None:
        """There is a demand that nobody has answered in time."""
        if self._mending is None or self._mending.done():
            self._mending = self._tasks.start(self._mend(), "look after readers")

    def close(self) -> None:
        """They end when they have done what they were asked for."""
        self._rest()
        while self._readers:
            self._readers.pop().close()

    def _look_after(self) -> None:
        self._rest()
        loop = asyncio.get_running_loop()
        if not self._held and not self._finding:
            self._timer = loop.call_later(LINGER, self.close)
        elif not any(reader.works for reader in self._readers):
            self._add()

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _add(self) -> None:
        if len(self._readers) >= MOST:
            return
        try:
            made = Reader(self._begin)
        except OSError as error:
            log.error("output waits in its pipes, since mctl-reader cannot be started: %s", error)
            self._timer = asyncio.get_running_loop().call_later(AGAIN, self._look_after)
            return
        self._readers.append(made)
        self._tasks.start(self._attend(made), "wait for a reader's end")
        for held in tuple(self._held):
            made.hold(held)

    async def _attend(self, reader: Reader) -> None:
        """One may be killed, for want of memory say; what it was asked for is then asked of another."""
        await reader.ended()
        if reader not in self._readers:  # as it was meant to
            return
        log.warning("mctl-reader has ended, and another one takes its place")
        self._readers.remove(reader)
        reader.close()
        for held in tuple(self._held):
            held.ask_again()
        await asyncio.sleep(AGAIN)
        self._look_after()

    async def _mend(self) -> None:
        await asyncio.gather(*(self._judge(reader) for reader in self._readers if reader.works))
        if not self._held:
            return
        self._look_after()
        working = [reader for reader in self._readers if reader.works]
        for reader in working * 2:  # the second time what was there the first time has been done
            if not await reader.answers(PATIENCE):
                return
        now = asyncio.get_running_loop().time()
        for held in self._held:
            if held.is_late(now):
                held.tell()

    async def _judge(self, reader: Reader) -> None:
        if await reader.answers(PATIENCE) or reader not in self._readers:
            return
        with contextlib.suppress(ProcessLookupError):
            await self._set_aside(reader.pid)
