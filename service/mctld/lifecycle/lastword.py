# SPDX-License-Identifier: GPL-3.0-or-later
"""How the first process of a run has ended: its parent knows; where that is gone too, the kernel may."""

from __future__ import annotations

import asyncio
import contextlib
import select
from typing import TYPE_CHECKING

from ..errors import SpawnerUnavailable
from ..runtime import remains
from ..runtime.launch import Status
from . import bootunit

if TYPE_CHECKING:
    from .machinery import Machinery
    from .running import Running

KEPT = "process"  # under which PID 1 keeps the descriptor of it while there is no instance of the service
PATIENCE = 2.0  # seconds in which PID 1, the parent of whoever has none, reaps it


async def status(machinery: Machinery, container: Running, pidfd: int) -> Status:
    """pidfd: of the first process, or -1."""
    told = Status()
    if container.place.is_service:
        told = await bootunit.status(machinery, container.unit, container.main_pid, pidfd)
    else:
        with contextlib.suppress(SpawnerUnavailable):
            told = await machinery.spawner.status(container.id)
    if told.code is not None or pidfd < 0:
        return told
    await asyncio.to_thread(_wait_until_reaped, pidfd)
    return remains.status(container.main_pid, pidfd)


def _wait_until_reaped(pidfd: int) -> None:
    """It hangs up when somebody has waited for the process (pidfd_poll of Linux); older kernels do not tell."""
    poll = select.poll()
    poll.register(pidfd, 0)
    poll.poll(PATIENCE * 1_000)

