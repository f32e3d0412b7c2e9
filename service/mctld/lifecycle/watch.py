# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel says when a file of a cgroup has changed: poll(2), POLLPRI."""

from __future__ import annotations

import asyncio
import os
import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Tell = Callable[[Mapping[str, int]], None]


class Watch:
    """Reads files as memory.events and cgroup.events (Linux cgroup-v2.rst) at once and whenever they change."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._tell: dict[int, Tell] = {}
        asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._read_changed)

    def add(self, file: int, tell: Tell) -> None:
        """`file` is open for reading and stays the caller's; `tell` gets its numbers by name."""
        self._epoll.register(file, select.EPOLLPRI)
        self._tell[file] = tell
        self.read(file)

    def remove(self, file: int) -> None:
        """After one more look: the last change may not have been told yet."""
        self.read(file)
        if self._tell.pop(file, None):
            self._epoll.unregister(file)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._epoll.fileno())
        self._epoll.close()

    def read(self, file: int) -> bool:
        """Whether there was something to be read."""
        try:
            text = os.pread(file, 4096, 0).decode()
        except OSError:
            return False
        numbers = dict(line.split() for line in text.splitlines())
        self._tell[file]({name: int(number) for name, number in numbers.items()})
        return True

    def _read_changed(self) -> None:
        for file, _ in self._epoll.poll(0):
            if not self.read(file):  # the cgroup is gone, which poll(2) would tell again and again
                self._epoll.modify(file, select.EPOLLET)
