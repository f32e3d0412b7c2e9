# SPDX-License-Identifier: GPL-3.0-or-later
"""Who follows a container's log, and what tells them that it is complete."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..systemd import service
from . import bootunit

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
        self._followed: dict[str, Supervised] = {}
        self._looking: set[str] = set()
        self._again: set[str] = set()

    def admit(self, container: Supervised, follower: Follower) -> None:
        self._followed[container.id] = container
        self._of.setdefault(container.id, []).append(follower)
        self.look(container)

    def leave(self, identity: str, follower: Follower) -> None:
        follower.close()
        left = [each for each in self._of.get(identity, ()) if each is not follower]
        self._of[identity] = left
        if not left:
            del self._of[identity], self._followed[identity]

    def job_over(self, unit: str) -> None:
        """PID 1 has started or stopped it, or has given up to: of the last nothing else tells, nothing runs."""
        for container in [each for each in self._followed.values() if service.unit_name(each.name) == unit]:
            self.look(container)

    def look(self, container: Supervised) -> None:
        """Something of it has changed."""
        if container.id not in self._of or not container.is_over:
            return
        if container.id in self._looking:
            self._again.add(container.id)  # what is being looked at may be how it was before
            return
        self._looking.add(container.id)
        self._tasks.start(self._conclude(container), f"end the log of {container.name}")

    async def _conclude(self, container: Supervised) -> None:
        try:
            await self._tell_if_over(container)
        finally:
            self._looking.discard(container.id)
            again = container.id in self._again
            self._again.discard(container.id)
        if again:
            self.look(container)

    async def _tell_if_over(self, container: Supervised) -> None:
        await self._retirement.drained(container.unit)
        if bootunit.owns(container.name) and not await self._systemd.is_over(service.unit_name(container.name)):
            return
        await self._retirement.drained(container.unit)  # of a run that has come and gone meanwhile
        if not container.is_over:
            return
        while waiting := [each for each in self._of.get(container.id, ()) if each.end >= 0]:
            for follower in waiting:
                await _tell(follower)


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
