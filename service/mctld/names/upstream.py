# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions that are not about containers: passed on as they are, to the name servers of the host or of the asker."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING

from . import message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .message import Question

RESOLV_CONF = "/etc/resolv.conf"
RESOLV_CONF_MAX = 64 << 10
SERVERS_MAX = 3  # MAXNS, resolver(5)
PORT = 53
PATIENCE = 4.0  # seconds, shared among the servers; who asked gives up after 5, resolv.conf(5)
ANSWER_MAX = 65_535

_SERVER = re.compile(r"nameserver\s+(\S+)\s*")


class Upstream:
    """Nothing is kept of answers: the host's servers do that, and know for how long."""

    def __init__(self, path: str = RESOLV_CONF, port: int = PORT) -> None:
        self._path = path
        self._port = port
        self._read: tuple[int, int] = (0, 0)  # the file that was read, and when it was written
        self._servers: tuple[str, ...] = ()

    async def ask(self, query: bytes, question: Question, servers: Sequence[str], *, stream: bool) -> bytes | None:
        """The first answer that comes, under the number of the question; None where no server gives one in time."""
        asked = servers or self._of_host()
        end = asyncio.get_running_loop().time() + PATIENCE
        for number, server in enumerate(asked):
            identity = secrets.randbits(16)
            sent = message.with_identity(query, identity)
            try:
                async with asyncio.timeout(_share(end, len(asked) - number)):
                    found = await (self._by_stream if stream else self._by_datagram)(server, sent, identity, question)
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                continue
            return message.with_identity(found, question.identity)
        return None

    async def _by_datagram(self, server: str, query: bytes, identity: int, question: Question) -> bytes:
        """From a port that the kernel chooses anew for each question, RFC 5452; all but the answer is overheard."""
        loop = asyncio.get_running_loop()
        with socket.socket(_family(server), socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as asking:
            asking.connect((server, self._port))
            await loop.sock_sendall(asking, query)
            while True:
                found = await loop.sock_recv(asking, ANSWER_MAX)
                if message.is_answer_to(found, identity, question.asked):
                    return found

    async def _by_stream(self, server: str, query: bytes, identity: int, question: Question) -> bytes:
        reader, writer = await asyncio.open_connection(server, self._port)
        try:
            writer.write(len(query).to_bytes(2, "big") + query)
            found = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        finally:
            writer.close()
        if not message.is_answer_to(found, identity, question.asked):
            raise OSError(f"{server} has answered another question")
        return found

    def _of_host(self) -> tuple[str, ...]:
        """Read again when the file has been replaced, as on a laptop that changes networks."""
        try:
            with open(self._path, encoding="utf-8", errors="replace") as file:
                status = os.fstat(file.fileno())
                if (status.st_ino, status.st_mtime_ns) != self._read:
                    self._servers = tuple(filter(_is_address, _SERVER.findall(file.read(RESOLV_CONF_MAX))))
                    self._read = (status.st_ino, status.st_mtime_ns)
        except OSError:
            self._servers = ()
        return self._servers[:SERVERS_MAX]


def _share(end: float, servers: int) -> float:
    """Of the time until then, for the first of so many servers: what one does not need the others have."""
    return max(end - asyncio.get_running_loop().time(), 0) / servers


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _family(server: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in server else socket.AF_INET
