# SPDX-License-Identifier: GPL-3.0-or-later
"""Attached output: raw bytes to those who watch, and the same lines to the journal.

The payload writes into a pipe of which the service holds the other end for as long as it lives, and which a process
that can be lost reads (`held.py`). The watcher of a run slows the payload, as a pipe would; one who leaves stops being
served, and the journal goes on. What is in the pipe is taken out when the journal has it: whoever kills the service
loses no byte, PID 1 keeps the pipe for the next.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from .readiness import readable, writable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .stream import JournalStream
    from .tasks import Tasks
    from .watcher import Watcher

CHUNK = 64 << 10
DRAIN_TIMEOUT = 5.0  # seconds for attached output whose writing end has left the container

log = logging.getLogger(__name__)


class Source(Protocol):
    """Where output comes from."""

    descriptor: int

    async def look(self) -> bytes:
        """What comes next, empty at the end; BlockingIOError where there is nothing."""
        ...

    async def take(self, size: int) -> None:
        """So much of it the journal has."""
        ...

    def close(self) -> None: ...


class Relay:
    """One stream of one container. Owns its descriptors.

    credentials: pid, uid and gid of the container's first process, as the host sees them.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        watcher: Watcher | None,
        journal: JournalStream,
        credentials: tuple[int, int, int],
    ) -> None:
        self.name = name
        self.source = source
        self._watchers = [] if watcher is None else [watcher]
        self._journal: JournalStream | None = journal
        self._credentials = credentials
        self._intake = asyncio.Lock()
        self._rest = b""
        self._ended = False

    @property
    def is_over(self) -> bool:
        """Nothing more will come out of it."""
        return self._ended

    @property
    def watched(self) -> int:
        """By how many."""
        return len(self._watchers)

    def watch(self, watcher: Watcher) -> None:
        """Takes it over; it gets what comes from now on."""
        if self._ended:
            watcher.dismiss()
        else:
            self._watchers.append(watcher)

    async def run(self) -> None:
        """Until the last writer is gone and the watchers have everything."""
        try:
            while chunk := await self._take_in():
                await self._tell_watchers(chunk)
                await asyncio.sleep(0)  # one who writes without end must not keep the service from all else
            await self._tell_watchers(self._rest)
            await self._dismiss()
            if self._journal is not None:
                await self._journal.taken()
        finally:
            self._ended = True
            self._close()

    async def settle(self) -> None:
        """The payload has ended: the journal gets what is left, however slow a watcher is. A pipe holds 64 KiB."""
        while chunk := await self._take_in():
            self._rest += chunk

    async def _take_in(self) -> bytes:
        """What comes next, once the journal has it."""
        async with self._intake:
            chunk = b"" if self._ended else await self._read()
            self._ended = not chunk
            await self._tell_journal(chunk)
            if self._ended and self._journal is not None:
                await self._journal.finish()
            return chunk

    async def _read(self) -> bytes:
        while True:
            try:
                return await self.source.look()
            except BlockingIOError:
                await readable(self.source.descriptor)

    async def _tell_watchers(self, chunk: bytes) -> None:
        """All at once: a slow one holds up the rest no longer than it must."""
        for watcher in self._watchers:
            watcher.offer(chunk)
        for watcher in tuple(self._watchers):
            await watcher.finish()
        self._watchers = [watcher for watcher in self._watchers if not watcher.gone]

    async def _dismiss(self) -> None:
        for watcher in self._watchers:
            watcher.dismiss()

    async def _tell_journal(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:
            try:
                sent = len(rest) if self._journal is None else await self._journal.send(rest, self._credentials)
            except OSError as error:
                self._forget_journal(error)
                continue
            await self.source.take(sent)
            rest = rest[sent:]

    def part(self) -> None:
        """The first process is about to be reaped: nothing goes under its pid any more."""
        if self._journal is not None:
            self._journal.part()

    def _forget_journal(self, error: OSError) -> None:
        """Those who watch go on."""
        assert self._journal is not None
        log.warning("output does not reach the journal any more: %s", error)
        self._journal.close()
        self._journal = None

    def _close(self) -> None:
        self.source.close()
        for watcher in self._watchers:
            watcher.leave()
        if self._journal is not None:
            self._journal.close()


async def drain(tasks: Tasks, relays: Iterable[Relay]) -> None:
    """The journal has what the payload has written; a watcher may take longer."""
    settling = [tasks.start(relay.settle(), f"settle {relay.name}") for relay in relays]
    if settling:
        _, late = await asyncio.wait(settling, timeout=DRAIN_TIMEOUT)
        for task in late:
            task.cancel()


async def write_all(descriptor: int, chunk: bytes, write: Callable[[int, memoryview], int]) -> None:
    rest = memoryview(chunk)
    while rest:
        try:
            rest = rest[write(descriptor, rest) :]
        except BlockingIOError:
            await writable(descriptor)
