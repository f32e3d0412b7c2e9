# SPDX-License-Identifier: GPL-3.0-or-later
"""Who follows a container's log, and what tells them that it is complete."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..systemd.journal import Retirement
    from ..systemd.manager import Manager
    from .supervised import Supervised
    from .tasks import Tasks

CURSOR = b"__CURSOR="
STAMP = b"__REALTIME_TIMESTAMP="


@dataclass(slots=True, eq=False)
class Follower:
    """last: a command that prints the last entry of what is followed. end: of the pipe for its cursor, to write."""

    last: Sequence[str]
    since_usec: int
    end: int

    def close(self) -> None:
        if self.end >= 0:
            os.close(self.end)
        self.end = -1


class Followers:
    """A container's log is complete when it has ended, nothing brings it back, and journald has taken in all of it."""

    def __init__(self, retirement: Retirement, systemd: Manager, tasks: Tasks) -> None:
        self._retirement = retirement
        self._systemd = systemd
        self._tasks = tasks
        self._of: dict[str, list[Follower]] = {}  # by id of the container
        self._looking: set[str] = set()

    def admit(self, container: Supervised, follower: Follower) -> None:
        self._of.setdefault(container.id, []).append(follower)
        self.look(container)

    def leave(self, identity: str, follower: Follower) -> None:
        follower.close()
        left = [each for each in self._of.get(identity, ()) if each is not follower]
        self._of[identity] = left
        if not left:
            del self._of[identity]

    def look(self, container: Supervised) -> None:
        """Something of it has changed."""
        if container.id in self._of and container.id not in self._looking and container.is_over:
            self._looking.add(container.id)
            self._tasks.start(self._conclude(container), f"end the log of {container.name}")

    async def _conclude(self, container: Supervised) -> None:
        try:
            await self._retirement.drained(container.unit)
            if container.place.is_service and not await self._systemd.is_over(container.unit):
                return
            await self._retirement.drained(container.unit)  # of a run that has come and gone meanwhile
            if not container.is_over:
                return
            while waiting := [each for each in self._of.get(container.id, ()) if each.end >= 0]:
                for follower in waiting:
                    await _tell(follower)
        finally:
            self._looking.discard(container.id)


async def _tell(follower: Follower) -> None:
    """A line with the cursor of the last entry, empty where there is none. Once."""
    found = await asyncio.to_thread(_printed, follower.last)
    if follower.end < 0:  # it has left meanwhile
        return
    cursor, stamp = (_field(name, found) for name in (CURSOR, STAMP))
    if not stamp.isdigit() or int(stamp) < follower.since_usec:
        cursor = b""
    with contextlib.suppress(BrokenPipeError):
        os.write(follower.end, cursor + b"\n")
    follower.close()


def _printed(command: Sequence[str]) -> bytes:
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError:
        return b""
    return done.stdout


def _field(name: bytes, entry: bytes) -> bytes:
    return next((line.removeprefix(name) for line in entry.split(b"\n") if line.startswith(name)), b"")
