# SPDX-License-Identifier: GPL-3.0-or-later
"""The ends of a container's standard streams in this process. They move bytes as they are."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

from .output import put_bytes, write_all

if TYPE_CHECKING:
    from .keys import Keys

CHUNK = 64 << 10
MCTL_FAILED = 125


class Stream:
    """One output of the container, and where it goes."""

    def __init__(self, source: int, sink: int) -> None:
        self.source = source
        self._sink: int | None = sink

    def copy(self) -> bool:
        """Copies what is there; False at the end."""
        try:
            data = os.read(self.source, CHUNK)
        except BlockingIOError:
            return True
        except OSError:  # ECONNRESET: the other end of a socket has gone; EIO: nobody has a terminal open any more
            data = b""
        self._to_sink(data)
        return bool(data)

    def close(self) -> None:
        os.close(self.source)

    def _to_sink(self, data: bytes) -> None:
        if self._sink is None:
            return
        if self._sink == 1:
            put_bytes(data, failure_status=MCTL_FAILED)  # nobody reads: as any program in a pipe, this command is over
            return
        try:
            write_all(self._sink, data)
        except OSError:
            self._sink = None  # without a place for errors it goes on


class Detached(Exception):
    """The keys that leave were typed."""


class Feed:
    """The caller's terminal on its way into the container, without ever blocking on a container that does not read."""

    def __init__(self, source: int, pipe: int, poller: select.poll, keys: Keys | None = None) -> None:
        os.set_blocking(pipe, False)
        self._keys = keys
        self._source = source
        self._pipe = pipe
        self._poller = poller
        self._pending = b""
        self._ended = False
        self.fds = frozenset((source, pipe))
        poller.register(source, select.POLLIN)
        poller.register(pipe, 0)

    def ready(self, fd: int, events: int) -> None:
        if fd == self._pipe and events & (select.POLLERR | select.POLLHUP):
            self._close()  # the container reads no more
            return
        if fd == self._source:
            self._read()
        self._push()

    def _read(self) -> None:
        try:
            data = os.read(self._source, CHUNK)
        except OSError:
            data = b""  # a terminal that is gone gives EIO
        self._ended = not data
        if self._keys:
            data, left = self._keys.feed(data)
            if left:
                self._pending += data
                self._push()
                raise Detached
        self._pending += data
        if self._ended:
            self._poller.unregister(self._source)

    def _push(self) -> None:
        try:
            written = os.write(self._pipe, self._pending)
        except BlockingIOError:
            written = 0
        except OSError:  # EPIPE, or EIO of a terminal: it has ended while somebody was typing
            self._close()
            return
        self._pending = self._pending[written:]
        if self._ended and not self._pending:
            self._close()
            return
        self._poller.modify(self._pipe, select.POLLOUT if self._pending else 0)
        if not self._ended:  # reads on only when all is written
            self._poller.modify(self._source, 0 if self._pending else select.POLLIN)

    def _close(self) -> None:
        self._poller.unregister(self._pipe)
        if not self._ended:
            self._poller.unregister(self._source)
        os.close(self._pipe)
        self.fds = frozenset()
