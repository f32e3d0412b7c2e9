# SPDX-License-Identifier: GPL-3.0-or-later
"""A container's terminal: what it prints goes to the journal and to all who are attached; what they type goes in.

The service holds the master, because the kernel hangs up when the last descriptor of it is closed; PID 1 keeps it and
the clients' sockets meanwhile, so that a restart of the service interrupts no session.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
from typing import TYPE_CHECKING

from ..errors import LimitsExceeded, NotRunning
from ..runtime import terminal
from .readiness import readable
from .relay import CHUNK, Relay, write_all
from .watcher import PATIENCE, Watcher

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .keeping import Kept
    from .stream import JournalStream
    from .tasks import Tasks

NAME = "terminal"
CLIENT = "client-"
CLIENTS_MAX = 16


class Client(Watcher):
    """One who watches and types, at the other end of a stream socket."""

    def __init__(self, connection: socket.socket, name: str) -> None:
        super().__init__(connection.fileno(), patience=PATIENCE)
        self.name = name
        self._connection = connection

    async def typed(self) -> bytes:
        """Empty at the end: it has left, or was dismissed."""
        while True:
            try:
                return os.read(self.descriptor, CHUNK)
            except BlockingIOError:
                await readable(self.descriptor)
            except ConnectionError:
                return b""

    def dismiss(self) -> None:
        """It reads to the end of what it has got; typed() then ends, and with it all else."""
        self._rest = memoryview(b"")
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:  # the other end is closed already
            return

    def _close(self) -> None:
        self._connection.close()
        self.descriptor = -1


class Master:
    """Of a terminal, as a source of output: nothing can be looked at there, and what has been read is out."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        os.set_blocking(descriptor, False)

    async def look(self) -> bytes:
        try:
            return os.read(self.descriptor, CHUNK)
        except BlockingIOError:
            raise
        except OSError:  # EIO: nobody has the other side open any more
            return b""

    async def take(self, size: int) -> None:
        pass

    def close(self) -> None:
        os.close(self.descriptor)


class Terminal(Relay):
    """Owns the master and its clients. `tasks` end with the service."""

    def __init__(
        self, kept: Kept, master: int, journal: JournalStream, credentials: tuple[int, int, int], tasks: Tasks
    ) -> None:
        super().__init__(NAME, Master(master), None, journal, credentials)
        self._kept = kept
        self._tasks = tasks
        self._peer = terminal.open_peer(master)  # while one is open there is no end of file: programs close and reopen
        self._typists: set[asyncio.Task[None]] = set()
        self._typing = asyncio.Lock()
        self._numbers: set[int] = set()
        self._held = b""

    def attach(self) -> socket.socket:
        """The client's end of a new connection."""
        self._refuse_if_ended()
        if len(self._typists) >= CLIENTS_MAX:
            raise LimitsExceeded(f"{CLIENTS_MAX} are attached already, the most: one must leave")
        self._kept.check(1)
        ours, theirs = socket.socketpair()
        self.admit(ours)
        return theirs

    def admit(self, connection: socket.socket) -> None:
        """Takes over the service's end of a client's connection."""
        self._kept.keep(self._serve(connection, self._free()), connection.fileno())

    def readmit(self, kept: Mapping[str, int]) -> None:
        """The clients of an earlier instance of the service."""
        for name, descriptor in kept.items():
            self._serve(socket.socket(fileno=descriptor), int(name.removeprefix(CLIENT)))

    def _free(self) -> int:
        return next(number for number in itertools.count() if number not in self._numbers)

    def _serve(self, connection: socket.socket, number: int) -> str:
        """Under which name PID 1 keeps it."""
        client = Client(connection, f"{CLIENT}{number}")
        self._numbers.add(number)
        self._watchers.append(client)
        task = self._tasks.start(self._type(client, number), f"type into {self._kept.identity}")
        self._typists.add(task)
        task.add_done_callback(self._typists.discard)
        return client.name

    def resize(self, rows: int, columns: int) -> None:
        self._refuse_if_ended()
        terminal.resize(self.source.descriptor, rows, columns)

    async def settle(self) -> None:
        """Without our own peer the end of the last other one is the end of file, which comes after all output."""
        self._close_peer()
        await super().settle()

    async def _tell_journal(self, chunk: bytes) -> None:
        """The carriage return that the terminal puts before each newline (ONLCR, termios(3)) is no part of the line."""
        text = self._held + chunk
        self._held = b"\r" if chunk and text.endswith(b"\r") else b""
        await super()._tell_journal(text[: len(text) - len(self._held)].replace(b"\r\n", b"\n"))

    async def _type(self, client: Client, number: int) -> None:
        """Until it leaves. Bytes of several clients are mixed, as on any terminal with several keyboards."""
        try:
            while data := await client.typed():
                async with self._typing:
                    await self._put_in(data)
            self._kept.drop(client.name)
        finally:
            client.leave()
            self._numbers.discard(number)
            self._watchers = [watcher for watcher in self._watchers if watcher is not client]

    async def _put_in(self, data: bytes) -> None:
        if self._ended:
            return
        try:
            await write_all(self.source.descriptor, data, os.write)
        except OSError:  # EIO: nobody is there to read it
            return

    async def _dismiss(self) -> None:
        await super()._dismiss()
        if self._typists:
            await asyncio.wait(self._typists)

    def _close(self) -> None:
        super()._close()
        self._close_peer()

    def _close_peer(self) -> None:
        if self._peer >= 0:
            os.close(self._peer)
        self._peer = -1

    def _refuse_if_ended(self) -> None:
        if self._ended:
            raise NotRunning("nothing has the terminal open any more")
