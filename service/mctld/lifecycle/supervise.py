# SPDX-License-Identifier: GPL-3.0-or-later
"""How a run ended, told from what the kernel kept."""

from __future__ import annotations

import os
import signal
import uuid
from typing import TYPE_CHECKING

from systemd import journal

from ..systemd import scope
from .events import Exit

if TYPE_CHECKING:
    from ..runtime.launch import Status
    from ..store import Record

MESSAGE_READY = uuid.UUID("0d4c2e6a6d8b4c57b3c5d0a3f58e8c11")
MESSAGE_EXITED = uuid.UUID("5cf9f2a3c8a64fd1a2a0ee34ba8aa9b1")


def judge(status: Status, *, oom_kills: int) -> Exit:
    """A SIGKILL in a cgroup that has killed for memory is taken for that."""
    if status.code is None:
        return Exit("unknown")
    if status.code == os.CLD_EXITED:
        return Exit("exited", status.status)
    if status.status == signal.SIGKILL and oom_kills:
        return Exit("oom", status.status)
    return Exit("killed", status.status)


def note_ready(version: str, containers: int, running: int) -> None:
    journal.send(
        f"mctld {version} is ready: {containers} containers, {running} of them running",
        MESSAGE_ID=MESSAGE_READY.hex,
        PRIORITY=6,
        SYSLOG_IDENTIFIER="mctld",
    )


def note(record: Record, end: Exit) -> None:
    """One journal entry for each end of a run, among the lines of its unit but not among those it has printed."""
    journal.send(
        f"Container {record.spec.name} {describe(end)}",
        MESSAGE_ID=MESSAGE_EXITED.hex,
        PRIORITY=6 if end == Exit("exited", 0) else 5,
        OBJECT_SYSTEMD_UNIT=scope.unit_name(record.spec.name),
        MCTL_CONTAINER_NAME=record.spec.name,
        MCTL_CONTAINER_ID=record.id,
        MCTL_EXIT_HOW=end.how,
        MCTL_EXIT_STATUS=str(end.status),
        SYSLOG_IDENTIFIER="mctld",
    )


def describe(end: Exit) -> str:
    if end.how == "exited":
        return f"exited with status {end.status}"
    if end.how == "oom":
        return "was killed because it ran out of memory (MemoryMax)"
    if end.how == "killed":
        return f"was killed by signal {end.status} ({signal_name(end.status)})"
    return "ended; its exit status is not known"


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"
