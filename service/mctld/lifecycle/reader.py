# SPDX-License-Identifier: GPL-3.0-or-later
"""The service's side of one mctl-reader: a child that has pipes as well, and may get stuck in one for ever."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
from collections import deque
from typing import TYPE_CHECKING

from ..runtime.reader import FIND, HOLD, PING
from .readiness import readable

if TYPE_CHECKING:
    from collections.abc import Callable

    from .held import Held

PROGRAM = "/usr/libexec/mctl-reader"
STUCK = "DT"  # state in proc_pid_stat(5): in a sleep that no signal ends, or stopped by somebody

log = logging.getLogger(__name__)


def execute(control: socket.socket) -> int:
    """The pid of a new one, which the caller waits for."""
    made = subprocess.Popen([PROGRAM], stdin=control.fileno(), env={}, cwd="/")
    made.returncode = 0  # or Popen would wait for it as well
    return made.pid


class Reader:
    def __init__(self, begin: Callable[[socket.socket], int]) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(0)
        with theirs:
            try:
                self.pid = begin(theirs)
            except BaseException:
                self._control.close()
                raise
        self.works = True
        self._waiting: deque[tuple[bytes, Held | None, tuple[int, ...]]] = deque()
        self._pongs = asyncio.Semaphore(0)
        asyncio.get_running_loop().add_reader(self._control, self._hear)

    async def ended(self) -> None:
        """Returns when it has, and has been waited for."""
        pidfd = os.pidfd_open(self.pid)
        try:
            await readable(pidfd)
            _reap(pidfd)
        finally:
            os.close(pidfd)

    def hold(self, held: Held) -> None:
        self._say(HOLD, held, (held.descriptor, held.theirs.fileno()))

    def find(self, place: int, wire: int) -> None:
        """Both stay the caller's, and open until there is an answer."""
        self._say(FIND, None, (place, wire))

    async def answers(self, seconds: float) -> bool:
        """Whether it is not stuck. One that is only slow is not."""
        self._say(PING, None, ())
        try:
            await asyncio.wait_for(self._pongs.acquire(), seconds)
        except TimeoutError:
            self.works = self._state() not in STUCK
        return self.works

    def close(self) -> None:
        """It ends when it has done what it was asked for."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._control)
        loop.remove_writer(self._control)
        self._control.close()

    def _state(self) -> str:
        try:
            with open(f"/proc/{self.pid}/stat", encoding="ascii", errors="replace") as file:
                return file.read().rpartition(") ")[2][:1]
        except FileNotFoundError:
            return ""

    def _say(self, word: bytes, held: Held | None, descriptors: tuple[int, ...]) -> None:
        self._waiting.append((word, held, descriptors))
        self._send()

    def _send(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_writer(self._control)
        while self._waiting:
            word, held, descriptors = self._waiting[0]
            try:
                if held is None or not held.is_over:
                    socket.send_fds(self._control, [word], descriptors)
            except BlockingIOError:
                loop.add_writer(self._control, self._send)
                return
            except OSError:  # it has ended, which is about to be told
                self._waiting.clear()
                return
            self._waiting.popleft()
            if held is not None:
                held.has_been_handed()

    def _hear(self) -> None:
        try:
            said = self._control.recv(16)
        except ConnectionError:
            said = b""
        if said:
            self.works = True
            self._pongs.release()
        else:
            asyncio.get_running_loop().remove_reader(self._control)


def _reap(pidfd: int) -> None:
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
