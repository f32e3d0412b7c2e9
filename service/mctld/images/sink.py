# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an archive goes: a caller's file, pipe or socket, whose reader may be slow, or never read at all."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import stat
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PIECE = 1 << 20
LOOK = 500  # milliseconds between two looks at whether somebody has given up


class GivenUp(Exception):
    """cancel() was called."""


class Sink:
    """write() is called in a thread, cancel() from anywhere, close() when the thread has ended.

    The descriptor is borrowed, its flags are the caller's, and stay. Nothing here waits but poll(2): what it has
    promised may be gone at the write, where others write to the same pipe.
    """

    def __init__(self, descriptor: int) -> None:
        self._opened = contextlib.ExitStack()
        self._write = self._writer(descriptor)
        self._poller = select.poll()
        self._poller.register(descriptor, select.POLLOUT)
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        self._cancelled.set()

    def close(self) -> None:
        self._opened.close()

    def write(self, data: bytes) -> None:
        """BrokenPipeError where nobody reads any more."""
        view = memoryview(data)
        while view:
            while not self._poller.poll(LOOK):
                self._check()
            self._check()
            try:
                view = view[self._write(view[:PIECE]) :]
            except BlockingIOError:
                continue

    def _writer(self, descriptor: int) -> Callable[[memoryview], int]:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISSOCK(mode):
            mine = self._opened.enter_context(socket.socket(fileno=os.dup(descriptor)))
            return lambda data: mine.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        if stat.S_ISFIFO(mode):
            descriptor = _opened_anew(descriptor)
            self._opened.callback(os.close, descriptor)
        return lambda data: os.write(descriptor, data)

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise GivenUp


def _opened_anew(pipe: int) -> int:
    """The same pipe with flags of its own, proc_pid_fd(5): O_NONBLOCK is the open file's, which others share."""
    try:
        return os.open(f"/proc/self/fd/{pipe}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:  # fifo(7): nobody has it open for reading
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from None
        raise
