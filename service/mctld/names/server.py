# SPDX-License-Identifier: GPL-3.0-or-later
"""The name server: told by the service who is called what, asked by containers. It ends when nobody is left to ask.

It keeps what it was told when the service ends, and is told all anew by the next instance of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from typing import TYPE_CHECKING

from systemd import daemon

from . import message
from .allowance import Allowance
from .entry import restored
from .listening import Listening
from .table import Table
from .upstream import Upstream

if TYPE_CHECKING:
    from .entry import Entry
    from .message import Question

LINE_MAX = 64 << 20  # all containers in one line
HOST_DOMAIN = "mctl"
LINGER = 60.0  # seconds without a container


class Server:
    def __init__(self, upstream: Upstream, port: int) -> None:
        self._table = Table()
        self._upstream = upstream
        self._listening = Listening(self.answer, self._owner, port)
        self._allowance = Allowance()
        self._turn = asyncio.Lock()
        self.idle = asyncio.Event()
        self.idle.set()

    async def told(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """By the service: one answer to each line, when what it says is in force."""
        try:
            while line := await reader.readline():
                failed = await self._obey(json.loads(line))
                writer.write(json.dumps({"failed": failed}).encode() + b"\n")
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def _obey(self, said: dict[str, object]) -> dict[str, str]:
        async with self._turn:
            match said:
                case {"put": str(identity), "entry": dict(entry)}:
                    self._table.put(identity, restored(entry))
                case {"drop": str(identity)}:
                    self._table.drop(identity)
                case {"all": dict(entries)}:
                    self._table.replace_all({identity: restored(entry) for identity, entry in entries.items()})
            (self.idle.clear if len(self._table) else self.idle.set)()
            return await self._listening.become(self._table.gateways())

    async def answer(self, query: bytes, asker: str, most: int) -> bytes:
        """Empty where there is nothing to be said. Only containers are served. most: bytes that the asker takes."""
        try:
            question = message.question(query)
        except message.Malformed as error:
            return message.malformed(error)
        known = self._table.asker(asker)
        if known is None:
            hosted = self._of_host(question, most) if self._table.is_host(asker) else None
            return hosted or message.refusal(question, message.REFUSED)
        own = self._of_containers(known, question, most)
        return own or await self._of_others(known, asker, query, question, stream=most > message.UDP_MAX)

    def _of_containers(self, asker: Entry, question: Question, most: int) -> bytes | None:
        """A name without a dot is a container's or nobody's: what is of no use to others is not told them. NAME.mctl is
        what the asker may know too: passed on, it could come back as the host's question."""
        address = question.reversed
        if address is not None:
            name = self._table.name(asker, address)
            return message.answer(question, [name], most) if name else None
        found = self._table.addresses(asker, question.name)
        hosted = question.name.endswith(f".{HOST_DOMAIN}")
        if found is None and hosted:
            found = self._table.addresses(asker, question.name.removesuffix(f".{HOST_DOMAIN}"))
        if found is not None:
            return message.answer(question, [each for each in found if each.version == _version(question)], most)
        if hosted or (question.is_address and "." not in question.name and question.name):
            return message.refusal(question, message.NO_SUCH_NAME)
        return None

    def _of_host(self, question: Question, most: int) -> bytes | None:
        """NAME.mctl, which systemd-resolved asks for; nothing else, or a question could go round in circles."""
        name, dot, domain = question.name.rpartition(".")
        if not dot or domain != HOST_DOMAIN:
            return None
        found = self._table.hosted(name)
        if found is None:
            return message.refusal(question, message.NO_SUCH_NAME)
        return message.answer(question, [each for each in found if each.version == _version(question)], most)

    async def _of_others(self, known: Entry, asker: str, query: bytes, question: Question, *, stream: bool) -> bytes:
        if not known.outside:
            return message.refusal(question, message.NO_SUCH_NAME)
        found = None
        with self._allowance.taken(known.owner, asker) as allowed:
            if allowed:
                found = await self._upstream.ask(query, question, known.servers, stream=stream)
        return found or message.refusal(question, message.SERVER_FAILURE)

    def _owner(self, asker: str) -> int | None:
        known = self._table.asker(asker)
        return None if known is None else known.owner


def _version(question: Question) -> int | None:
    return {message.A: 4, message.AAAA: 6}.get(question.kind)


async def serve(listening: socket.socket) -> None:
    server = Server(Upstream(), 53)
    await asyncio.start_unix_server(server.told, sock=listening, limit=LINE_MAX)
    daemon.notify("READY=1")
    while True:
        await server.idle.wait()
        await asyncio.sleep(LINGER)
        if server.idle.is_set():
            return  # PID 1 listens on, and starts us anew


def main() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        (descriptor,) = daemon.listen_fds()
        asyncio.run(serve(socket.socket(fileno=descriptor)))
