# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of one more command into a container that runs: a child born inside, its plan, the command.

Whatever fails, the child is ended, and the failure names its step.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import NotRunning, Paused, SetupFailed, SpawnerUnavailable
from ..runtime import planner
from . import limits, terminal
from .place import control_group_of
from .readiness import readable
from .resources import open_filter
from .start import inherited
from .stdio import Lines, Stdio, open_for_exec

if TYPE_CHECKING:
    from ..execution import Execution
    from ..runtime.launch import Stage
    from ..runtime.plan import Plan
    from ..spec import Spec
    from .exec import Exec
    from .machinery import Machinery
    from .running import Running

HIERARCHY = "/sys/fs/cgroup"
TIMEOUT = 30.0  # seconds: a container may have next to no processor time


@dataclass(frozen=True, slots=True)
class Entered:
    """streams: the reading ends of its output, if attached, or the master of its terminal."""

    pid: int
    pidfd: int
    streams: tuple[int, ...]


async def enter(
    machinery: Machinery, container: Running, execution: Execution, made: Exec, *, stdin: int | None, attach: bool
) -> Entered:
    """Returns when the command executes. `stdin` is borrowed."""
    ended = container.ended
    try:
        return await _enter(machinery, container, execution, made, stdin=stdin, attach=attach)
    except SetupFailed as error:
        raise await _explained(container, ended, error) from error
    except OSError as error:  # no descriptors, no memory; or the cgroup is gone
        raise await _explained(container, ended, SetupFailed("prepare the command", error.strerror or error)) from error


async def _enter(
    machinery: Machinery, container: Running, execution: Execution, made: Exec, *, stdin: int | None, attach: bool
) -> Entered:
    spec = execution.inside(container.spec)
    plan = planner.exec_plan(spec, last_capability=machinery.last_capability, window=execution.window)
    with ExitStack() as opened:
        first = _owned(opened, container.open_process())
        cgroup = _owned(opened, _open_cgroup(container))
        program = await open_filter(machinery, container.spec)
        filters = {} if program is None else {"seccomp": _owned(opened, program)}
        lines = Lines(machinery.journals, container.record, container.unit)
        stdio = _open_stdio(lines, spec, stdin, attach=attach)
        opened.callback(stdio.close_payload)
        on_failure = opened.enter_context(ExitStack())
        on_failure.callback(stdio.abandon)
        note = made.about.note()
        stage = await machinery.spawner.join(made.name, first, cgroup, note, inherited(container.spec))
        opened.callback(stage.close)
        on_failure.callback(_abandon, machinery, made, stage)
        await stdio.hand_over(machinery.journals.custody)
        stage.begin(plan, {"container": first, **filters, **stdio.payload})
        await _executed(container, stage, plan)
        await limits.follow_up(machinery, container.record, spec, container.place)
        on_failure.pop_all()
        master = stage.take(terminal.NAME)
        return Entered(stage.pid, stage.pidfd, stdio.watchers if master is None else (master,))


def _owned(opened: ExitStack, descriptor: int) -> int:
    opened.callback(os.close, descriptor)
    return descriptor


def _open_stdio(lines: Lines, spec: Spec, stdin: int | None, *, attach: bool) -> Stdio:
    """For a terminal nothing goes in: it is made inside."""
    if spec.terminal:
        return Stdio({})
    return open_for_exec(lines, stdin=stdin, attach=attach)


def _open_cgroup(container: Running) -> int:
    """Nothing would come of a process in a frozen one before somebody thaws it."""
    directory = os.open(f"{HIERARCHY}{_control_group(container)}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        events = os.open("cgroup.events", os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
        with os.fdopen(events, encoding="ascii") as file:
            if "frozen 1\n" in file:
                raise _paused(container)
    except BaseException:
        os.close(directory)
        raise
    return directory


def _control_group(container: Running) -> str:
    """The unit's; with an operating system the one of its first process: who divides a cgroup among others can have no
    process in it any more (Linux cgroup-v2.rst, No Internal Process Constraint)."""
    group = container.control_group
    if not container.spec.machine:
        return group
    inner = control_group_of(container.main_pid)
    return inner if inner.startswith(f"{group}/") else group


async def _executed(container: Running, stage: Stage, plan: Plan) -> None:
    """Whoever pauses the container meanwhile would hold up the caller until it goes on."""
    executed = asyncio.ensure_future(stage.executed(plan))
    frozen = asyncio.ensure_future(container.wait_frozen())
    try:
        await asyncio.wait((executed, frozen), timeout=TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        if executed.done():
            return executed.result()
        if frozen.done():
            with container.still_frozen():
                await _ended(stage)
            raise _paused(container)
    finally:
        for each in (executed, frozen):
            each.cancel()
        await asyncio.wait((executed, frozen))
    why = f"it did not get there within {TIMEOUT:.0f} s: is the container short of processor time?"
    raise SetupFailed(plan.steps[-1].does, why)


async def _ended(stage: Stage) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(stage.pidfd, signal.SIGKILL)
    await readable(stage.pidfd)


def _paused(container: Running) -> Paused:
    return Paused(f"container {container.name!r} is paused: what is executed in it would be frozen too")


def _abandon(machinery: Machinery, made: Exec, stage: Stage) -> None:
    """The child is ended; that it does end is awaited by nobody but a task."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(stage.pidfd, signal.SIGKILL)
    machinery.tasks.start(_buried(machinery, made, stage.pidfd), f"forget {made.name}")


async def _buried(machinery: Machinery, made: Exec, pidfd: int) -> None:
    try:
        await readable(pidfd)
    finally:
        os.close(pidfd)
    with contextlib.suppress(SpawnerUnavailable):  # it is gone, and what it knew with it
        await machinery.spawner.forget(made.name)


async def _explained(container: Running, ended: asyncio.Event, error: SetupFailed) -> Exception:
    """What failed in a container that is ending, failed because of that: kernels answer ESRCH, ENOMEM or ENODEV."""
    if await container.ends_meanwhile(ended):
        return NotRunning(f"container {container.name!r} has ended meanwhile ({error})")
    return error
