# SPDX-License-Identifier: GPL-3.0-or-later
"""A start that the service's own end has cut off: it has led to a run, or there was none."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import SpawnerUnavailable
from ..state import State
from . import comeback
from .readiness import readable

if TYPE_CHECKING:
    from ..store import Record, Run
    from .machinery import Machinery

SPAWNER = "mctl-spawner"  # what a child is called before it executes, and for ever if it never does


async def came_to_nothing(machinery: Machinery, record: Record, pid: int) -> bool:
    """Whether nothing was executed; what the spawner has of the child goes then.

    A child whose gate was not opened ends by itself, since its channel has; one that is about to execute is ended.
    """
    if pid and _command(pid) not in (SPAWNER, ""):
        return False
    if pid:
        await _end(pid)
    with contextlib.suppress(SpawnerUnavailable):
        await machinery.spawner.forget(record.id)
    return True


def undone(record: Record, run: Run) -> Run:
    """As before the start; where it was one more attempt of ours, the next attempt is due."""
    if run.restarts and comeback.may_follow(record.spec.restart, run):
        return replace(run, state=State.RESTARTING, next_start_usec=time.time_ns() // 1_000)
    return replace(run, state=State.EXITED if run.how else State.CREATED)


def _command(pid: int) -> str:
    """comm of proc_pid_stat(5), which a zombie still has."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().partition("(")[2].rpartition(")")[0]
    except OSError:
        return ""


async def _end(pid: int) -> None:
    """Our own spawner's child, or one in the container's cgroup: the pid is still its own."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if _command(pid) == SPAWNER:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            await readable(pidfd)
    except ProcessLookupError:
        return
    finally:
        os.close(pidfd)
