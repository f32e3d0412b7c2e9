# SPDX-License-Identifier: GPL-3.0-or-later
"""A start, as one natural line: a blocked child; its scope, its root and mounts, and its network, side by
side; then the payload.

Whatever fails, all that was done before is undone in reverse, and the failure names its step.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import MctlError, SetupFailed
from ..runtime import cgroup, migration, planner, users
from ..runtime.launch import Inherited
from ..systemd import journal, notify, scope
from . import devices, endowment, limits, machines, resources, terminal, traffic, vacancy
from .endowment import Endowment
from .logs import labels
from .observation import Observation
from .readiness import readable
from .resources import Resources

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine

    from ..runtime.launch import Stage
    from ..runtime.plan import Plan
    from ..runtime.users import IdMap
    from ..spec import Spec
    from ..store import Record
    from .machinery import Machinery
    from .place import Place
    from .stdio import AnyStdio

    Window = tuple[int, int]  # rows and columns

PATIENCE = 0.3  # seconds: PID 1 takes some milliseconds to remove the scope of a child that has ended


@dataclass(frozen=True, slots=True)
class Started:
    pid: int
    pidfd: int
    observation: Observation
    warnings: tuple[str, ...]
    terminal: int | None  # the master, where the container has one
    channel: socket.socket | None  # where it is heard, if it says something of itself


async def start(
    machinery: Machinery, record: Record, place: Place, stdio: AnyStdio, window: Window = planner.NO_WINDOW
) -> Started:
    """Returns when the payload executes. Takes over nothing: the caller closes `stdio`."""
    spec = record.spec
    cgroup.check(spec.limits, machinery.controllers)
    if machinery.migration.is_due():
        machinery.tasks.start(asyncio.to_thread(migration.announce), "announce a migration")
    async with AsyncExitStack() as undo:
        endowed = Endowment()
        undo.callback(endowed.close)
        endowment.listen(record, machinery.settings.staging, endowed)
        if place.is_service:
            await asyncio.to_thread(endowment.of_unit, record, place, endowed)
        machines.announce(record, endowed)
        endowment.show_credentials(record, f"{machinery.settings.containers}/{record.id}", endowed)
        plan = planner.plan(spec, last_capability=machinery.last_capability, window=window, given=endowed.given)
        stage = await _bear(machinery, record, place)
        undo.callback(stage.close)
        on_failure = await undo.enter_async_context(AsyncExitStack())
        on_failure.push_async_callback(_abandon, machinery, record, place, stage)
        on_failure.callback(machinery.networks.detached, record)
        journal.publish(place.unit, log_fields(record))
        made = Resources()
        undo.callback(made.close)
        await _side_by_side(
            (_enter_service if place.is_service else _attach_scope)(machinery, record, place, stage),
            _prepare(machinery, record, stage, plan, stdio, endowed, made),
            machinery.networks.attach(record, stage),
        )
        observation = Observation(machinery.watch, place.control_group)
        on_failure.callback(observation.close)  # made now: soon the payload may be gone, and the cgroup with it
        await machines.register(machinery, record, place, stage.pid)
        await stage.finish(plan)  # past the gate: the unit with all its limits holds the child
        on_failure.pop_all()
        master, channel = stage.take(terminal.NAME), endowed.take_channel()
        return Started(stage.pid, stage.pidfd, observation, made.warnings, master, channel)


def inherited(spec: Spec) -> Inherited:
    security = spec.security
    raised = tuple(name for name, _, _ in security.raised_limits)  # only we can: inside a limit can but be lowered
    return Inherited(security.preparing_limits, raised, security.oom_score_adjust)


def ids_of(record: Record) -> IdMap | None:
    return users.whole(record.uid_shift) if record.spec.security.has_user_namespace else None


def log_fields(record: Record) -> dict[str, str]:
    return {
        "CONTAINER_NAME": record.spec.name,
        "CONTAINER_ID": record.id,
        "CONTAINER_OWNER_UID": str(record.owner_uid),
        **labels(record.spec.labels),
    }


async def _bear(machinery: Machinery, record: Record, place: Place) -> Stage:
    spec = record.spec
    namespaces, ids, given = planner.namespaces(spec), ids_of(record), inherited(spec)
    with machinery.sharing.opened(record) as network:
        if not place.is_service:
            return await machinery.spawner.spawn(record.id, namespaces, ids, given, network)
        directory = os.open(f"{cgroup.HIERARCHY}{place.control_group}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return await machinery.spawner.bear(namespaces, ids, given, directory, network)
        finally:
            os.close(directory)


async def _enter_service(machinery: Machinery, record: Record, place: Place, stage: Stage) -> None:
    """The child is in the unit's cgroup from birth; now PID 1 learns that it is what the unit is about.

    The unit's own settings are in force, which an administrator may have changed: they are not compared with ours.
    """
    await machinery.systemd.hold(place.unit)
    await notify.speak_for(place.launcher, f"MAINPID={stage.pid}")
    limits.add(place.control_group, record.spec.limits)
    devices.check(record.spec, place.control_group)
    machines.delegate(record, place)


async def _attach_scope(machinery: Machinery, record: Record, place: Place, stage: Stage) -> None:
    """The cgroup with all its limits holds the child before the child may do anything."""
    spec = record.spec
    patience = machinery.settings.quotas.patience(spec.timeout_stop_usec, record.owner_uid)
    properties = scope.properties(spec.name, record.owner_uid, stage.pid, spec.limits, patience, spec.stop_signal)
    properties += devices.properties(spec) + traffic.properties(spec)
    try:
        await machinery.systemd.start_transient(place.unit, properties)
    except SetupFailed:
        raise
    except MctlError as error:
        raise SetupFailed(f"start {place.unit}", error) from error
    limits.complete(place.control_group, spec.limits)
    devices.check(spec, place.control_group)
    machines.delegate(record, place)


async def _prepare(
    machinery: Machinery, record: Record, stage: Stage, plan: Plan, stdio: AnyStdio, endowed: Endowment, made: Resources
) -> None:
    await resources.prepare(machinery, record, stage, made)
    await stdio.hand_over(machinery.journals.custody)
    stage.begin(plan, {**made.descriptors, **stdio.payload, **endowed.descriptors})
    made.close()


async def _abandon(machinery: Machinery, record: Record, place: Place, stage: Stage) -> None:
    """The child is ended and reaped; its scope, if there is one, ends with it. A service is PID 1's to end."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(stage.pidfd, signal.SIGKILL)
    await readable(stage.pidfd)
    os.close(stage.pidfd)
    if place.is_service:
        with contextlib.suppress(MctlError):  # not held yet
            await machinery.systemd.let_go(place.unit)
    else:
        await machinery.spawner.forget(record.id)
        await asyncio.to_thread(vacancy.announce, place.control_group, PATIENCE)


async def _side_by_side(*work: Coroutine[Any, Any, None]) -> None:
    """All to their end, whatever happens; then the first failure."""
    for result in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
