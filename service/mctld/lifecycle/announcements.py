# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket on which the processes of one container speak: who they are the kernel says, unix(7), SCM_CREDENTIALS."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from typing import TYPE_CHECKING

from ..systemd.notify import SCM_CREDENTIALS
from .announcement import parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from .announcement import Announcement

KEPT = "notify"  # under which PID 1 keeps it while there is no instance of the service
MESSAGE_MAX = 4096
DESCRIPTORS_MAX = 253  # SCM_MAX_FD
AT_ONCE = 64  # messages that one container may send in a burst
PER_SECOND = 16.0  # and for ever: what is more waits, and its sender with it
PAUSE = 0.5  # seconds
_CREDENTIALS = struct.Struct("3i")  # struct ucred
_ROOM = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(DESCRIPTORS_MAX * 4)


class Announcements:
    """`heed` is called with what somebody says whose pid and uid `is_inside` takes for one of the container's."""

    def __init__(
        self, channel: socket.socket, is_inside: Callable[[int, int], bool], heed: Callable[[Announcement], None]
    ) -> None:
        channel.setblocking(False)  # noqa: FBT003  the call takes no keyword
        self._channel = channel
        self._is_inside = is_inside
        self._heed = heed
        self._loop = asyncio.get_running_loop()
        self._credit, self._counted = float(AT_ONCE), self._loop.time()
        self._pause: asyncio.TimerHandle | None = None
        self._loop.add_reader(channel, self._read)

    def look(self) -> None:
        """Now, instead of when the event loop comes to it."""
        for _ in range(AT_ONCE):
            if not self._read_one():
                return

    def close(self) -> None:
        self._loop.remove_reader(self._channel)
        if self._pause:
            self._pause.cancel()
        self._channel.close()

    def _read(self) -> None:
        now = self._loop.time()
        self._credit = min(self._credit + (now - self._counted) * PER_SECOND, AT_ONCE)
        self._counted = now
        while self._credit >= 1:
            if not self._read_one():
                return
            self._credit -= 1
        self._loop.remove_reader(self._channel)
        self._pause = self._loop.call_later(PAUSE, self._loop.add_reader, self._channel, self._read)

    def _read_one(self) -> bool:
        """Whether there was anything. A descriptor that comes along is closed: sd_notify_barrier(3) waits for that."""
        try:
            message, ancillary, flags, _ = self._channel.recvmsg(MESSAGE_MAX, _ROOM, socket.MSG_CMSG_CLOEXEC)
        except OSError:
            return False
        pid, uid = 0, -1
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == SCM_CREDENTIALS:
                pid, uid, _ = _CREDENTIALS.unpack(data)
            elif level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                for (descriptor,) in struct.iter_unpack("i", data[: len(data) - len(data) % 4]):
                    os.close(descriptor)
        if not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC) and self._is_inside(pid, uid):
            self._heed(parse(message))
        return True
