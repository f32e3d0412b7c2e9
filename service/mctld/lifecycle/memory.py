# SPDX-License-Identifier: GPL-3.0-or-later
"""Who was killed for memory, noted when it happens: a moment later PID 1 may have removed the cgroup."""

from __future__ import annotations

import asyncio
import os
import select


class MemoryWatch:
    """Reads memory.events (Linux cgroup-v2.rst) whenever the kernel says that they have changed: poll(2), POLLPRI."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._kills: dict[int, int] = {}
        asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._read_changed)

    def add(self, events: int) -> None:
        """`events` is an open memory.events; it stays the caller's."""
        self._epoll.register(events, select.EPOLLPRI)
        self._kills[events] = 0
        self._read(events)

    def remove(self, events: int) -> int:
        """How many processes have been killed for want of memory."""
        self._read(events)
        if events in self._kills:
            self._epoll.unregister(events)
        return self._kills.pop(events, 0)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _read_changed(self) -> None:
        for events, _ in self._epoll.poll(0):
            if not self._read(events):  # the cgroup is gone, which poll(2) would tell again and again
                self._epoll.modify(events, select.EPOLLET)

    def _read(self, events: int) -> bool:
        """Whether there was something to be read."""
        try:
            text = os.pread(events, 4096, 0).decode()
        except OSError:
            return False
        counters = dict(line.split() for line in text.splitlines())
        self._kills[events] = int(counters.get("oom_kill", 0))
        return True
