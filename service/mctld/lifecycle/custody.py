# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams of the journal's whose other end PID 1 has too: no payload gets one that a kill of journald would break.

journald gives its end to PID 1 (FDSTORE=1) when it has read a stream's header, as an event of its own that comes before
it reads on from any stream. So who sees it read the header, and then an empty line, of which it makes no entry, knows.
Until then the stream goes with journald, and with it what was printed. Verified on systemd 252 and 257. PID 1 does not
have it all the same while it has more messages to read than net.unix.max_dgram_qlen, or journald more streams than
FileDescriptorStoreMax=.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import select
import socket
import struct
import termios

from .readiness import readable

PATIENCE = 10.0  # seconds: it takes journald a millisecond, and to be started again some tenths of a second
UNTIL_ANEW = 60.0  # seconds: of a journald that stands still only the first one who starts takes notice
EMPTY_LINE = b"\n"
_COUNT = struct.Struct("i")

log = logging.getLogger(__name__)


class Custody:
    def __init__(self) -> None:
        self._in_vain_until = 0.0

    async def has(self, stream: socket.socket) -> bool:
        """False where it has hung up, and another one is to be opened.

        True also where journald stands still: nobody knows then, and starts shall not wait for it for good.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(PATIENCE if loop.time() >= self._in_vain_until else 0):
                given = await _given(stream)
        except TimeoutError:
            if loop.time() >= self._in_vain_until:
                log.warning("journald has not taken over a stream within %g seconds: is it stuck?", PATIENCE)
            self._in_vain_until = max(self._in_vain_until, loop.time() + UNTIL_ANEW)
            return True
        if not given:
            log.info("a stream of the journal's has hung up before anybody used it: journald has ended")
        return given


async def _given(stream: socket.socket) -> bool:
    """The header has been written."""
    await until_read(stream)
    try:
        stream.send(EMPTY_LINE, socket.MSG_DONTWAIT)
    except ConnectionError:
        return False
    await until_read(stream)
    return not _has_hung_up(stream)  # what it had not read is gone with it


async def until_read(stream: socket.socket) -> None:
    """Returns when the other end has read everything, or is closed. Each time it has read something is an edge, and
    epoll(7) tells of edges where asyncio would but know that there is room."""
    with select.epoll() as edges:
        edges.register(stream, select.EPOLLOUT | select.EPOLLET)
        while unread(stream):
            await readable(edges.fileno())
            edges.poll(0)


def unread(stream: socket.socket) -> bool:
    """SIOCOUTQ, unix(7), which is TIOCOUTQ: what the other end has not read. A stream that is broken has nothing.

    One is what the kernel has left while it wakes us for the last of it, sock_wfree().
    """
    (count,) = _COUNT.unpack(fcntl.ioctl(stream, termios.TIOCOUTQ, bytes(_COUNT.size)))
    return int(count) > 1


def _has_hung_up(stream: socket.socket) -> bool:
    poll = select.poll()
    poll.register(stream, 0)
    return bool(poll.poll(0))
