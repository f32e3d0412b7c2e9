# SPDX-License-Identifier: GPL-3.0-or-later
"""Readers of pipes for tests: processes as the service has them, out of this tree."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mctld.lifecycle.crew import Crew
from mctld.lifecycle.tasks import Tasks

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Sequence

SERVICE = Path(__file__).parents[2] / "service"
MAIN = f"import sys; sys.path.insert(0, {str(SERVICE)!r}); from mctld.runtime.reader import main; main()"


class Begun:
    """All that were, in turn."""

    def __init__(self, passed: Sequence[int] = ()) -> None:
        self.pids: list[int] = []
        self.aside: list[int] = []
        self._passed = passed

    def begin(self, control: socket.socket) -> int:
        made = subprocess.Popen([sys.executable, "-c", MAIN], stdin=control.fileno(), pass_fds=self._passed)
        made.returncode = 0
        self.pids.append(made.pid)
        return made.pid

    async def set_aside(self, pid: int) -> None:
        self.aside.append(pid)


@asynccontextmanager
async def reading(begun: Begun | None = None) -> AsyncIterator[Crew]:
    """Afterwards none of the readers is left."""
    begun, tasks = begun or Begun(), Tasks()
    crew = Crew(begun.begin, begun.set_aside, tasks)
    try:
        yield crew
    finally:
        crew.close()
        await tasks.finish(60)
    assert not [pid for pid in begun.pids if os.path.exists(f"/proc/{pid}")]
