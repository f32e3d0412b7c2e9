# SPDX-License-Identifier: GPL-3.0-or-later
"""How a run ended, told from what the kernel kept; and what the journal is told of runs."""

from __future__ import annotations

import contextlib
import os
import signal
import uuid
from typing import TYPE_CHECKING

from .. import chronicle
from ..errors import MctlError
from .events import Exit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..runtime.launch import Status
    from ..store import Run
    from .standing import Standing

MESSAGE_READY = uuid.UUID("0d4c2e6a6d8b4c57b3c5d0a3f58e8c11")
MESSAGE_STARTED = uuid.UUID("7a46ca3252124d83ae72a583628e89e7")
MESSAGE_EXITED = uuid.UUID("5cf9f2a3c8a64fd1a2a0ee34ba8aa9b1")
MESSAGE_RESTARTING = uuid.UUID("c94bec11608e4368b271b79271ffba0e")
MESSAGE_GIVEN_UP = uuid.UUID("a55e90739b6a44d2b2dc110b09968252")
MESSAGE_HEALTH = uuid.UUID("c9d5d21ea59c40d58742de1d2fd28e5c")
MESSAGE_NETWORK_LOST = uuid.UUID("4f0f8bb3f1a94e0c9f7d52b6a3d18c27")
MESSAGE_NOT_STARTED = uuid.UUID("32994a5d60114a8c9c6de77d82e97f03")
EVENTS = {
    MESSAGE_STARTED: "started", MESSAGE_EXITED: "exited", MESSAGE_RESTARTING: "restarting",
    MESSAGE_GIVEN_UP: "given-up", MESSAGE_HEALTH: "health", MESSAGE_NOT_STARTED: "not-started",
    MESSAGE_NETWORK_LOST: "network-lost",
}  # fmt: skip


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
    chronicle.send(
        f"mctld {version} is ready: {containers} containers, {running} of them running",
        MESSAGE_ID=MESSAGE_READY.hex,
        PRIORITY=6,
    )


@contextlib.contextmanager
def telling_of_failure(container: Standing) -> Iterator[None]:
    """Among the unit's lines. PID 1 may end who has asked for the start before that one can say why it failed."""
    try:
        yield
    except MctlError as error:
        _note_not_started(container, error)
        raise


def _note_not_started(container: Standing, why: Exception) -> None:
    _send(container, MESSAGE_NOT_STARTED, f"Container {container.name} is not started: {why}", 3, MCTL_WHY=str(why))


def note_started(container: Standing, pid: int, restarts: int) -> None:
    again = f", for the {ordinal(restarts)} time by itself" if restarts else ""
    _send(
        container, MESSAGE_STARTED, f"Container {container.name} has been started{again}", 6,
        MCTL_MAIN_PID=str(pid), MCTL_RESTARTS=str(restarts),
    )  # fmt: skip


def note(container: Standing, end: Exit, lasted_usec: int) -> None:
    """One journal entry for each end of a run, among the lines of its unit but not among those it has printed."""
    _send(
        container, MESSAGE_EXITED, f"Container {container.name} {describe(end)} after {lasted_usec / 1_000_000:.3f} s",
        6 if end == Exit("exited", 0) else 5,
        MCTL_EXIT_HOW=end.how, MCTL_EXIT_STATUS=str(end.status), MCTL_LASTED_USEC=str(lasted_usec),
    )  # fmt: skip


def note_restarting(container: Standing, run: Run, seconds: float, why: str = "") -> None:
    """why: what went wrong with the last try, where it was one."""
    failed = f" could not be started again ({why}); it" if why else ""
    _send(
        container, MESSAGE_RESTARTING,
        f"Container {container.name}{failed} will be started again in {seconds:.1f} s ({container.spec.restart})",
        4 if why else 6, MCTL_RESTARTS=str(run.restarts), MCTL_WHY=why,
    )  # fmt: skip


def note_given_up(container: Standing, run: Run, why: str = "") -> None:
    failed = f" could not be started again ({why}); it" if why else ""
    _send(
        container, MESSAGE_GIVEN_UP,
        f"Container {container.name}{failed} has been started again {run.restarts} times, as often as it may be "
        f"({container.spec.restart}): it stays as it is until somebody starts it",
        4, MCTL_RESTARTS=str(run.restarts), MCTL_WHY=why,
    )  # fmt: skip


def note_network_lost(container: Standing, host: str) -> None:
    told = f"Container {container.name} is stopped: container {host}, whose network it has, has ended"
    _send(container, MESSAGE_NETWORK_LOST, told, 5, MCTL_WHY=f"container {host} has ended")


def note_health(container: Standing, health: str, status: int) -> None:
    """status: of the last check."""
    told = f"Container {container.name} is {health}"
    if health == "unhealthy":
        told += f": its check has failed {container.spec.health.retries} times in a row, the last with status {status}"
    priority = 4 if health == "unhealthy" else 6
    _send(container, MESSAGE_HEALTH, told, priority, MCTL_HEALTH=health, MCTL_CHECK_STATUS=str(status))


def _send(container: Standing, message: uuid.UUID, text: str, priority: int, **fields: str) -> None:
    chronicle.send(
        text,
        MESSAGE_ID=message.hex,
        PRIORITY=priority,
        OBJECT_SYSTEMD_UNIT=container.unit,
        MCTL_CONTAINER_NAME=container.name,
        MCTL_CONTAINER_ID=container.id,
        MCTL_OWNER_UID=str(container.owner_uid),
        MCTL_EVENT=EVENTS[message],
        **fields,
    )


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th."""
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if number % 100 in (11, 12, 13) else endings.get(number % 10, 'th')}"


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
