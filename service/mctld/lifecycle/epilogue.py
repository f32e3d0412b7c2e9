# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container has printed last, where its first process has been reaped before the service had passed that on.

PID 1 reaps the first process of mctl@NAME.service as soon as it ends, and a pid that is nobody's cannot be named on a
stream, unix(7). So the rest goes as entries of our own, with all fields of the container's lines and its unit as
OBJECT_SYSTEMD_UNIT=, which journalctl -u looks for too. https://systemd.io/JOURNAL_NATIVE_PROTOCOL/
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from .. import chronicle
from .readiness import writable

if TYPE_CHECKING:
    from collections.abc import Mapping

RETRY = 1.0  # seconds
LINE_MAX = 48 << 10  # as journald has it: LineMax= of journald.conf(5)


class Epilogue:
    """Of one stream. fields: of each line."""

    def __init__(self, fields: Mapping[str, str | int], path: str = chronicle.SOCKET) -> None:
        self._fields = dict(fields)
        self._path = path
        self._socket: socket.socket | None = None
        self._rest = b""  # of a line that has begun

    async def send(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            await self._tell(line)
        while len(self._rest) > LINE_MAX:
            begun, self._rest = self._rest[:LINE_MAX], self._rest[LINE_MAX:]
            await self._tell(begun)

    async def finish(self) -> None:
        """There is no end of the last line to be waited for."""
        rest, self._rest = self._rest, b""
        if rest:
            await self._tell(rest)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    async def _tell(self, line: bytes) -> None:
        for start in range(0, max(len(line), 1), LINE_MAX):
            await self._enter(chronicle.encode({**self._fields, "MESSAGE": line[start : start + LINE_MAX]}))

    async def _enter(self, entry: bytes) -> None:
        while True:
            try:
                self._put(entry)
            except BlockingIOError:
                await writable(self._connected().fileno())
            except OSError:  # there is no journal now
                self.close()
                await asyncio.sleep(RETRY)
            else:
                return

    def _put(self, entry: bytes) -> None:
        """Labels make it long, and a host may give sockets little room (net.core.wmem_default)."""
        journal = self._connected()
        try:
            journal.send(entry)
        except OSError as error:
            if error.errno not in chronicle.TOO_BIG:
                raise
            chronicle.send_sealed(journal, entry, self._path)

    def _connected(self) -> socket.socket:
        if self._socket is None:
            made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            try:
                made.connect(self._path)
            except OSError:
                made.close()
                raise
            self._socket = made
        return self._socket
