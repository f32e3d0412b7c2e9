# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands in containers, without processes."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bus.simulation import SimulatedContainer
    from mctld.execution import Execution
    from mctld.lifecycle.events import Events, Exit


@dataclass(frozen=True)
class SimulatedAbout:
    container: str
    container_id: str
    owner_uid: int
    by_uid: int
    command: tuple[str, ...] = ("/bin/true",)
    user: str = "0:0"


@dataclass(eq=False)
class SimulatedExec:
    id: str
    about: SimulatedAbout
    pid: int = 77
    end: Exit | None = None
    signals: list[int] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def state(self) -> str:
        return "exited" if self.end else "running"

    def belongs_to(self, uid: int) -> bool:
        return uid in (self.about.owner_uid, self.about.by_uid)

    def kill(self, number: int, /) -> None:
        self.signals.append(number)

    async def wait(self) -> Exit:
        await self.over.wait()
        assert self.end
        return self.end

    def finish(self, end: Exit) -> None:
        self.pid, self.end = 0, end
        self.over.set()


class SimulatedExecs:
    def __init__(self, events: Events) -> None:
        self._events = events
        self.found: dict[str, SimulatedExec] = {}
        self.asked: list[tuple[Execution, int, bytes | None, bool]] = []

    def get(self, identity: str) -> SimulatedExec | None:
        return self.found.get(identity)

    def all(self) -> Iterable[SimulatedExec]:
        return tuple(self.found.values())

    def add(self, identity: str, container: str, owner_uid: int, by_uid: int, *command: str) -> SimulatedExec:
        about = SimulatedAbout(container, "c" * 32, owner_uid, by_uid, command or ("/bin/true",))
        made = self.found[identity] = SimulatedExec(identity, about)
        self._events.exec_added(made)  # type: ignore[arg-type]
        return made

    async def start(
        self, container: SimulatedContainer, execution: Execution, by_uid: int, *, stdin: int | None, attach: bool
    ) -> tuple[SimulatedExec, tuple[int, ...]]:
        self.asked.append((execution, by_uid, None if stdin is None else os.read(stdin, 100), attach))
        made = self.add(f"e{len(self.asked)}", container.name, container.owner_uid, by_uid, *execution.command)
        if execution.terminal:
            master, inside = os.openpty()
            os.close(inside)
            return made, (master,)
        pairs = [os.pipe() for _ in range(2 if attach else 0)]
        for _, writer in pairs:
            os.close(writer)
        return made, tuple(reader for reader, _ in pairs)

    def finish(self, made: SimulatedExec, end: Exit) -> None:
        made.finish(end)
        self._events.exec_ended(made)  # type: ignore[arg-type]

    def drop(self, made: SimulatedExec) -> None:
        del self.found[made.id]
        self._events.exec_removed(made)  # type: ignore[arg-type]
