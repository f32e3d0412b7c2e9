# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket on which the processes of one container speak: who they are the kernel says, unix(7), SCM_CREDENTIALS."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..runtime import notification
from .announcement import parse

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from .announcement import Announcement

KEPT = "notify"  # under which PID 1 keeps it while there is no instance of the service
AT_ONCE = 64  # messages that one container may send in a burst
PER_SECOND = 16.0  # and for ever: what is more waits, and its sender with it
PAUSE = 0.5  # seconds


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
        """Whether there was anything."""
        try:
            heard = notification.hear(self._channel)
        except OSError:
            return False
        if heard is not None:
            message, pid, uid = heard
            if self._is_inside(pid, uid):
                self._heed(parse(message))
        return True
