# SPDX-License-Identifier: GPL-3.0-or-later
"""Port 53 of the addresses that the host has in containers' networks, datagrams and streams."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any

from . import message
from .streams import Streams

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Answer = Callable[[bytes, str, int], Awaitable[bytes]]  # a query, who asks, and how long the answer may be
    Owner = Callable[[str], int | None]  # of the container that has this address

PORT = 53
IP_FREEBIND = 15  # linux/in.h: the bridge may be made later, or removed and made again
IDLE = 10.0  # seconds


class Listening:
    def __init__(self, answer: Answer, owner: Owner, port: int = PORT) -> None:
        self._answer = answer
        self._owner = owner
        self._port = port
        self._open: dict[str, tuple[_Datagrams, asyncio.Server]] = {}
        self._streams = Streams()

    async def become(self, addresses: set[str]) -> dict[str, str]:
        """Listen on these and no others. Returns why, for those where it cannot be."""
        for address in set(self._open) - addresses:
            datagrams, streams = self._open.pop(address)
            streams.close()
            await datagrams.close()
        failed = {}
        for address in addresses - set(self._open):
            try:
                self._open[address] = await self._listen(address)
            except OSError as error:
                failed[address] = error.strerror or str(error)
        return failed

    async def _listen(self, address: str) -> tuple[_Datagrams, asyncio.Server]:
        loop = asyncio.get_running_loop()
        made = [_bound(socket.SOCK_DGRAM, address, self._port)]
        try:
            made.append(_bound(socket.SOCK_STREAM, address, self._port))
            streams = await asyncio.start_server(self._serve, sock=made[1])
            _, datagrams = await loop.create_datagram_endpoint(lambda: _Datagrams(self._answer), sock=made[0])
        except OSError:
            for each in made:
                each.close()
            raise
        return datagrams, streams

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """RFC 7766: several questions one after the other. Who is no container is not listened to."""
        asker, end = writer.get_extra_info("peername")[0], writer.transport.abort
        owner = self._owner(asker)
        stream = None if owner is None else self._streams.admit(owner, asker, end)
        if stream is None:
            end()
            return
        try:
            while True:
                async with asyncio.timeout(IDLE):
                    query = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
                with self._streams.busy(stream):
                    found = await self._answer(query, asker, message.STREAM_MAX)
                if not found:
                    return
                writer.write(len(found).to_bytes(2, "big") + found)
                async with asyncio.timeout(IDLE):
                    await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass
        finally:
            self._streams.forget(stream)
            end()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._answering: set[asyncio.Task[None]] = set()
        self._closed = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def connection_lost(self, _: Exception | None) -> None:
        self._closed.set()  # who waits goes on later: the transport closes its socket right after this call

    async def close(self) -> None:
        """When it returns the port is free: the next line may ask for it again."""
        self._transport.abort()
        await self._closed.wait()

    def datagram_received(self, data: bytes, sender: Any) -> None:
        task = asyncio.get_running_loop().create_task(self._respond(data, sender))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _respond(self, data: bytes, sender: Any) -> None:
        found = await self._answer(data, sender[0], message.UDP_MAX)
        if found and not self._transport.is_closing():
            with contextlib.suppress(OSError):
                self._transport.sendto(found, sender)


def _bound(kind: socket.SocketKind, address: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        made.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        if kind == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
    except OSError:
        made.close()
        raise
    return made
