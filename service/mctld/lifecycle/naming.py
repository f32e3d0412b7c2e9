# SPDX-License-Identifier: GPL-3.0-or-later
"""What containers call each other, told to the name server, which is a service of its own.

PID 1 holds the socket and starts the server when we connect. It knows only what we have told it, so whichever of us
has ended and come back, all is told anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import deque
from typing import TYPE_CHECKING

from ..names import entry as lines
from ..names.entry import Entry, Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..network.connection import Connection
    from ..store import Record
    from .hostnames import HostNames
    from .tasks import Tasks

PATIENCE = 10.0  # seconds for an answer; a Python may have to be started for it, on a host that is busy
PAUSE = 0.2  # seconds before the server is started again after it has ended under us
ATTEMPTS = 5

log = logging.getLogger(__name__)


def entry_of(record: Record, connections: Iterable[Connection], *, hosted: bool) -> Entry:
    connections = tuple(connections)
    spec, aliases = record.spec, dict(record.spec.networking.aliases_on)
    return Entry(
        owner=record.owner_uid,
        names=tuple(dict.fromkeys((spec.name, *spec.networking.aliases, record.id[:12]))),
        places=tuple(
            Place(
                c.network.name, "" if c.network.macvlan else str(c.network.gateway),
                str(c.lease.address), str(c.lease.address6),
                aliases.get(c.network.name, ()),
            )
            for c in connections
        ),
        servers=spec.name_servers,
        outside=any(not c.network.internal for c in connections),
        hosted=hosted,
    )


class _Line:
    """One connection to the server. Each line is answered by one, in order."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._waiting: deque[asyncio.Future[dict[str, str]]] = deque()
        self.ended = asyncio.ensure_future(self._listen(reader))

    async def say(self, line: bytes) -> dict[str, str]:
        """Why it cannot listen on an address, by address. Raises ConnectionError."""
        if self.ended.done():
            raise ConnectionResetError
        answered: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
        self._waiting.append(answered)
        self._writer.write(line)
        return await answered

    def close(self) -> None:
        self._writer.close()
        self.ended.cancel()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                answered = self._waiting.popleft()
                if not answered.done():
                    answered.set_result(json.loads(line)["failed"])
        except OSError:
            with contextlib.suppress(OSError):  # asyncio keeps it a second time, and logs it where nobody asks
                await self._writer.wait_closed()
        finally:
            self._writer.close()
            for answered in self._waiting:
                if not answered.done():
                    answered.set_exception(ConnectionResetError())


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return f"not in {PATIENCE:.0f} seconds"
    return error.strerror or "it has ended"


class Naming:
    def __init__(self, socket: str, tasks: Tasks, host_names: HostNames | None = None) -> None:
        self._socket = socket
        self._host_names = host_names
        self._tasks = tasks
        self._entries: dict[str, Entry] = {}
        self._line: _Line | None = None
        self._connecting = asyncio.Lock()
        self._refused: Mapping[str, str] = {}

    async def put(self, record: Record, connections: Iterable[Connection]) -> None:
        """In force when it returns. A container is worth having without names too: what fails is only logged."""
        identity, entry = record.id, self._entry(record, connections)
        self._entries[identity] = entry
        try:
            async with asyncio.timeout(PATIENCE):
                self._note(await self._tell(lines.put(identity, entry)))
        except (OSError, TimeoutError) as error:
            log.warning("the name server does not answer (%s): see systemctl status mctl-names.service", _reason(error))

    def offer(self, connections: Iterable[Connection]) -> None:
        """To the host, now that their bridges are there."""
        if self._host_names is not None:
            self._host_names.offer(c.network for c in connections if c.network.macvlan is None)

    def _entry(self, record: Record, connections: Iterable[Connection]) -> Entry:
        return entry_of(record, connections, hosted=self._host_names is not None and self._host_names.wanted)

    def drop(self, identity: str) -> None:
        if self._entries.pop(identity, None) is not None and self._line is not None:
            self._tasks.start(self._drop(identity), "withdraw names")

    async def examine(self) -> tuple[str, Mapping[str, str]]:
        """Why it does not answer, or empty; and why it cannot listen, by address. It is not started for this."""
        if self._line is None and not self._entries:
            return "", {}
        try:
            async with asyncio.timeout(PATIENCE):
                refused = await self._tell(lines.replace_all(self._entries))
        except (OSError, TimeoutError) as error:
            return _reason(error), {}
        self._note(refused)
        return "", refused

    async def restore(self, running: Iterable[tuple[Record, Sequence[Connection]]]) -> None:
        """After a start of the service."""
        self._entries = {record.id: self._entry(record, connections) for record, connections in running}
        if self._entries:
            await self._renew()

    def close(self) -> None:
        """The server goes on with what it knows."""
        self._entries = {}
        if self._line is not None:
            self._line.close()

    async def _tell(self, line: bytes) -> dict[str, str]:
        """Twice where the server ends meanwhile: it does so when it has long had nobody to serve."""
        with contextlib.suppress(ConnectionError):
            return await self._say(line)
        await asyncio.sleep(PAUSE)
        return await self._say(line)

    async def _say(self, line: bytes) -> dict[str, str]:
        async with self._connecting:
            if self._line is None:
                return await self._connect()
        return await self._line.say(line)

    async def _connect(self) -> dict[str, str]:
        """All that is known is told."""
        reader, writer = await asyncio.open_unix_connection(self._socket)
        self._line = line = _Line(reader, writer)
        line.ended.add_done_callback(lambda _: self._has_ended(line))
        return await line.say(lines.replace_all(self._entries))

    def _has_ended(self, line: _Line) -> None:
        if self._line is line:
            self._line = None
            if self._entries:
                self._tasks.start(self._renew(PAUSE), "tell the name server anew")

    async def _renew(self, pause: float = 0) -> None:
        for attempt in range(ATTEMPTS):
            await asyncio.sleep(pause * 2**attempt)
            if self._line is not None or not self._entries:
                return
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(PATIENCE), self._connecting:
                    if self._line is None:
                        self._note(await self._connect())
                    return
        log.warning("the name server does not come back: containers find no names; see systemctl status mctl-names")

    async def _drop(self, identity: str) -> None:
        with contextlib.suppress(OSError, TimeoutError):  # whoever comes next is told all anew
            async with asyncio.timeout(PATIENCE):
                await self._say(lines.drop(identity))

    def _note(self, refused: Mapping[str, str]) -> None:
        """Once, and not for each container."""
        if refused != self._refused:
            for address, why in refused.items():
                log.warning("names are not answered on %s, port 53: %s; `ss -ulnp sport = :53` shows whose it is",
                            address, why)  # fmt: skip
        self._refused = refused
