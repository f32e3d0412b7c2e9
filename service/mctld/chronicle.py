# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries for the journal, in its native protocol, from one who must neither wait for it nor fail with it.

The socket of the journal is every user's to fill while journald is stuck, and it may be gone. sd_journal_send(3) waits
then, or fails; here an entry waits in a queue, and where that is full it is counted.
https://systemd.io/JOURNAL_NATIVE_PROTOCOL/
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import errno
import fcntl
import os
import socket
import struct
import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SOCKET = "/run/systemd/journal/socket"
ENTRIES_MAX = 4_096
BYTES_MAX = 4 << 20
RETRY = 1.0  # seconds
IDENTIFIER = "mctld"
TOO_BIG = (errno.EMSGSIZE, errno.ENOBUFS)  # for a datagram
_WARNING = 4
_KIND = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class Chronicle:
    """send() may be called in any thread."""

    def __init__(self, path: str = SOCKET) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._queue: deque[bytes] = deque()
        self._queued = 0  # bytes
        self._lost = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._retry: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def send(self, text: str, **fields: str | int) -> None:
        """An entry with this MESSAGE. Never waits, never raises."""
        data = encode({"MESSAGE": text, "SYSLOG_IDENTIFIER": IDENTIFIER, **fields})
        with self._lock:
            if not (self._flushed() and self._sent(data)):
                self._keep(data)
                if self._loop is not None:
                    with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
                        self._loop.call_soon_threadsafe(self._try_again_later)

    def attach(self) -> None:
        """From now on the event loop sends what waits; without it that is done by the next entry."""
        self._loop = asyncio.get_running_loop()
        self._try_again_later()

    def detach(self) -> None:
        self._loop = None
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def close(self) -> None:
        self.detach()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _try_again_later(self) -> None:
        if self._loop is not None and self._retry is None and (self._queue or self._lost):
            self._retry = self._loop.call_later(RETRY, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        with self._lock:
            self._flushed()
        self._try_again_later()

    def _keep(self, data: bytes) -> None:
        if len(self._queue) >= ENTRIES_MAX or self._queued + len(data) > BYTES_MAX:
            self._lost += 1
            return
        self._queue.append(data)
        self._queued += len(data)

    def _flushed(self) -> bool:
        """Whether nothing waits any more."""
        while self._queue:
            if not self._sent(self._queue[0]):
                return False
            self._queued -= len(self._queue.popleft())
        if self._lost:
            text = f"{self._lost} entries were lost: the journal did not take them, and more were not kept"
            if not self._sent(encode({"MESSAGE": text, "SYSLOG_IDENTIFIER": IDENTIFIER, "PRIORITY": _WARNING})):
                return False
            self._lost = 0
        return True

    def _sent(self, data: bytes) -> bool:
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, _KIND)
            try:
                self._socket.sendto(data, self._path)
            except OSError as error:
                if error.errno not in TOO_BIG:
                    raise
                send_sealed(self._socket, data, self._path)
        except OSError:
            return False
        return True


def send_sealed(journal: socket.socket, data: bytes, path: str) -> None:
    """What is too big for a datagram travels as a file that cannot change any more."""
    file = os.memfd_create("mctl-journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(file, "wb") as stream:
        stream.write(data)
        stream.flush()
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]))]
        journal.sendmsg([b""], rights, 0, path)


def encode(fields: Mapping[str, str | int | bytes]) -> bytes:
    """KEY=value lines; a value with a newline goes with its length."""
    return b"".join(_field(key.encode(), value) for key, value in fields.items())


def _field(key: bytes, given: str | int | bytes) -> bytes:
    value = given if isinstance(given, bytes) else str(given).encode(errors="replace")
    if b"\n" in value:
        return key + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
    return key + b"=" + value + b"\n"


CHRONICLE = Chronicle()  # a process has one journal, as it has one root of logging
send = CHRONICLE.send
