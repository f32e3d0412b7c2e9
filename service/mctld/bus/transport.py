# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket to the bus daemon: authentication, a patient bounded writer, a reader that keeps count of descriptors."""

from __future__ import annotations

import array
import asyncio
import os
import socket
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from .descriptors import Descriptors
from .wire import Frame, Framer, Malformed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SYSTEM_BUS = "unix:path=/run/dbus/system_bus_socket"
QUEUE_MAX = 64 << 20  # bytes that may wait for the bus daemon before droppable messages are dropped
_READ_SIZE = 16 << 10  # a hundred short messages
_FDS_MAX = 253  # SCM_MAX_FD, the kernel's bound of one sendmsg(2)
_TRUNCATED = int(socket.MSG_CTRUNC)  # to look for the enum's member takes a twentieth of a short call


@dataclass(slots=True)
class _Parcel:
    data: memoryview
    fds: Descriptors


def system_bus_address() -> str:
    return os.environ.get("DBUS_SYSTEM_BUS_ADDRESS", SYSTEM_BUS)


def socket_path(address: str) -> str:
    """The first unix socket of a D-Bus address, as connect(2) wants it."""
    for entry in address.split(";"):
        scheme, _, options = entry.partition(":")
        pairs = dict(pair.split("=", 1) for pair in options.split(",") if "=" in pair)
        if scheme == "unix" and "path" in pairs:
            return unquote(pairs["path"])
        if scheme == "unix" and "abstract" in pairs:
            return "\0" + unquote(pairs["abstract"])
    raise ConnectionError(f"the bus address {address!r} names no unix socket")


async def open_socket(address: str) -> socket.socket:
    """Connected and authenticated (EXTERNAL, with descriptors), ready for Hello."""
    loop = asyncio.get_running_loop()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        await loop.sock_connect(sock, socket_path(address))
        uid = str(os.geteuid()).encode().hex()
        await loop.sock_sendall(sock, f"\0AUTH EXTERNAL {uid}\r\nNEGOTIATE_UNIX_FD\r\n".encode())
        for expected in (b"OK ", b"AGREE_UNIX_FD"):
            line = await _read_line(loop, sock)
            if not line.startswith(expected):
                raise ConnectionError(f"the bus answered {line!r} where it should say {expected!r}")
        await loop.sock_sendall(sock, b"BEGIN\r\n")
    except BaseException:
        sock.close()
        raise
    return sock


async def _read_line(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\r\n"):
        byte = await loop.sock_recv(sock, 1)  # never beyond the line: nothing else would find the rest
        if not byte or len(line) > 1024:
            raise ConnectionError(f"the bus ended the authentication after {line!r}")
        line += byte
    return line


class Transport:
    """Whole messages to and from the bus daemon. `lost` is told once, with a sentence."""

    def __init__(self, sock: socket.socket, received: Callable[[Frame], None], lost: Callable[[str], None]) -> None:
        self._sock = sock
        self._received = received
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._framer = Framer()
        self._batches: deque[list[int]] = deque()
        self._queue: deque[_Parcel] = deque()
        self._drained: list[asyncio.Future[None]] = []
        self._waiting = False  # for the socket to take more
        self.queued = 0
        self.dropped = 0
        self.open = True
        self._loop.add_reader(sock, self._readable)

    def write(self, data: bytes, fds: Iterable[int] = (), *, droppable: bool = False) -> bool:
        """Takes over the descriptors. False: dropped, because the daemon does not keep up or is gone."""
        parcel = _Parcel(memoryview(data), Descriptors(fds))
        if not self.open or (droppable and self.queued > QUEUE_MAX):
            parcel.fds.close()
            self.dropped += 1
            return False
        self._queue.append(parcel)
        self.queued += len(data)
        if not self._waiting:
            self._flush()
        return True

    def claim(self, count: int) -> Descriptors:
        """The descriptors of the message just received, which announces `count` of them.

        The kernel hands them over in one batch with the message's first bytes (unix(7)); a batch of another
        size means that some were lost for want of room in our table: then none is given out.
        """
        batch = self._batches.popleft() if count and self._batches else []
        if len(batch) == count:
            return Descriptors(batch)
        Descriptors(batch).close()
        return Descriptors()

    async def drain(self) -> None:
        """Waits until everything written so far has been handed to the kernel."""
        if self._queue and self.open:
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._drained.append(waiter)
            await waiter

    def close(self, why: str) -> None:
        if not self.open:
            return
        self.open = False
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        for parcel in self._queue:
            parcel.fds.close()
        self._queue.clear()
        for batch in self._batches:
            Descriptors(batch).close()
        self._batches.clear()
        self._wake_drained()
        self._loop.call_soon(self._lost, why)

    def _flush(self) -> None:
        try:
            while self._queue:
                self._send_first()
        except BlockingIOError:
            self._wait(wait=True)
        except OSError as error:
            self.close(f"the bus cannot be written to: {error}")
        else:
            self._wait(wait=False)
            self._wake_drained()

    def _send_first(self) -> None:
        parcel = self._queue[0]
        fds = array.array("i", [parcel.fds.peek(i) for i in range(len(parcel.fds))])
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)] if fds else []
        sent = self._sock.sendmsg([parcel.data], rights, socket.MSG_NOSIGNAL)
        parcel.fds.close()  # they travel with the first byte
        self.queued -= sent
        if sent == len(parcel.data):
            self._queue.popleft()
        else:
            parcel.data = parcel.data[sent:]

    def _wait(self, *, wait: bool) -> None:
        if wait and not self._waiting:
            self._loop.add_writer(self._sock, self._flush)
        elif self._waiting and not wait:
            self._loop.remove_writer(self._sock)
        self._waiting = wait

    def _wake_drained(self) -> None:
        for waiter in self._drained:
            if not waiter.done():
                waiter.set_result(None)
        self._drained.clear()

    def _readable(self) -> None:
        try:
            data = self._receive()
            if not data:
                raise ConnectionError("end of file")
            for frame in self._framer.feed(data):
                self._received(frame)
        except BlockingIOError:
            return
        except (OSError, Malformed) as error:
            self.close(f"the bus cannot be read from: {error}")

    def _receive(self) -> bytes:
        """One read a loop turn: a flood must not keep everybody else waiting."""
        fds = array.array("i")
        space = socket.CMSG_SPACE(_FDS_MAX * fds.itemsize)
        data, ancillary, flags, _ = self._sock.recvmsg(_READ_SIZE, space, socket.MSG_CMSG_CLOEXEC)
        for level, kind, rights in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(rights[: len(rights) - len(rights) % fds.itemsize])
        if fds or flags & _TRUNCATED:
            self._batches.append(list(fds))
        return data
