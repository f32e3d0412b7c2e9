# SPDX-License-Identifier: GPL-3.0-or-later
"""Two connections become one: what comes from one side goes to the other, ends of streams too."""

from __future__ import annotations

import asyncio
import contextlib
import socket

CHUNK = 256 << 10


async def pump(caller: socket.socket, container: socket.socket) -> None:
    """Until both directions have ended, or one is broken. Closes both."""
    with caller, container:
        directions = [asyncio.ensure_future(_carry(*pair)) for pair in ((caller, container), (container, caller))]
        try:
            await asyncio.gather(*directions)
        except OSError:  # of one side; the other learns it by the end of its connection
            pass
        finally:
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)


async def _carry(source: socket.socket, sink: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    buffer = memoryview(bytearray(CHUNK))
    while size := await loop.sock_recv_into(source, buffer):
        await loop.sock_sendall(sink, buffer[:size])
    with contextlib.suppress(OSError):  # it has gone already
        sink.shutdown(socket.SHUT_WR)
