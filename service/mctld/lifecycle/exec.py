# SPDX-License-Identifier: GPL-3.0-or-later
"""One command executed in a container that runs, from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..errors import MctlError, NotRunning
from ..runtime.launch import Status
from . import supervise

if TYPE_CHECKING:
    from collections.abc import Callable

    from .events import Exit
    from .machinery import Machinery

PREFIX = "exec:"  # of the process, to the spawner: containers' names there are their ids, hexadecimal digits
COMMAND_KEPT = 4096  # characters of the arguments that the spawner remembers for the next instance of the service


@dataclass(frozen=True, slots=True)
class About:
    """What never changes of it. owner_uid: of the container; by_uid: who asked for it."""

    id: str
    container: str
    container_id: str
    owner_uid: int
    by_uid: int
    command: tuple[str, ...]
    user: str

    def note(self) -> dict[str, Any]:
        """For the spawner to keep; what is too long of the command is left out."""
        kept, room = [], COMMAND_KEPT
        for argument in self.command:
            room -= len(argument)
            if room < 0:
                break
            kept.append(argument)
        return {**asdict(self), "command": kept}

    @classmethod
    def remembered(cls, note: dict[str, Any]) -> About:
        return cls(**{**note, "command": tuple(note["command"])})


class Exec:
    """`ended` is called once. Takes over the pidfd."""

    def __init__(self, about: About, machinery: Machinery, ended: Callable[[Exec], None]) -> None:
        self.about = about
        self.pid = 0
        self.end: Exit | None = None
        self._machinery = machinery
        self._told = ended
        self._ended = asyncio.Event()
        self._pidfd = -1

    @property
    def id(self) -> str:
        return self.about.id

    @property
    def name(self) -> str:
        """The spawner knows it by this one."""
        return PREFIX + self.about.id

    @property
    def state(self) -> str:
        """starting (and known to nobody yet), running or exited."""
        if self.end:
            return "exited"
        return "running" if self.pid else "starting"

    def belongs_to(self, uid: int) -> bool:
        return uid in (self.about.owner_uid, self.about.by_uid)

    def watch(self, pid: int, pidfd: int) -> None:
        self.pid, self._pidfd = pid, pidfd
        asyncio.get_running_loop().add_reader(pidfd, self._on_exit)

    def has_ended(self, status: Status) -> None:
        """Known by what the spawner has kept."""
        self.pid, self.end = 0, supervise.judge(status, oom_kills=0)
        self._ended.set()
        self._told(self)

    def kill(self, number: int) -> None:
        """By its pidfd: no other process can ever be hit."""
        if self.end:
            raise NotRunning(f"the command of exec {self.id} has ended")
        if self._pidfd < 0:  # it has just ended, which is about to be told
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)

    async def wait(self) -> Exit:
        await self._ended.wait()
        assert self.end is not None
        return self.end

    def _on_exit(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        self._machinery.tasks.start(self._conclude(), f"conclude {self.name}")

    async def _conclude(self) -> None:
        try:
            status = await self._machinery.spawner.status(self.name)
        except MctlError:  # the spawner is gone, and what it knew with it
            status = Status()
        self.has_ended(status)
