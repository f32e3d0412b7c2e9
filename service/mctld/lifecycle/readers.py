# SPDX-License-Identifier: GPL-3.0-or-later
"""Pipes that strangers hold as well are read by processes of ours that can be lost, of each owner's own.

So who keeps others from a pipe (`runtime/reader.py` says how) keeps nobody but themselves from being served.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..errors import MctlError
from ..systemd import scope
from . import reader
from .crew import Crew

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from ..systemd.manager import Manager
    from .tasks import Tasks


class Readers:
    """tasks: they are cancelled when the service ends."""

    def __init__(self, systemd: Manager, tasks: Tasks, begin: Callable[[socket.socket], int] = reader.execute) -> None:
        self._systemd = systemd
        self._tasks = tasks
        self._begin = begin
        self._crews: dict[int, Crew] = {}

    def of(self, owner: int) -> Crew:
        if owner not in self._crews:
            self._crews[owner] = Crew(self._begin, partial(self._set_aside, owner), self._tasks)
        return self._crews[owner]

    def close(self) -> None:
        for crew in self._crews.values():
            crew.close()

    async def _set_aside(self, owner: int, pid: int) -> None:
        """Out of our cgroup, which PID 1 wants to be empty before it starts the service again, to the owner's own."""
        try:
            await self._systemd.start_transient(scope.reader_name(pid), scope.reader_properties(owner, pid))
        except MctlError as error:
            reader.log.warning("a restart of the service will wait for process %d, which is stuck: %s", pid, error)
