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
from ..runtime import cgroup, planner, users
from ..runtime.launch import Inherited
from ..systemd import journal, scope
from . import devices, limits, resources, terminal
from .observation import Observation
from .readiness import readable
from .resources import Resources

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from ..runtime.launch import Stage
    from ..runtime.plan import Plan
    from ..runtime.users import IdMap
    from ..spec import Spec
    from ..store import Record
    from .machinery import Machinery
    from .stdio import AnyStdio

    Window = tuple[int, int]  # rows and columns


@dataclass(frozen=True, slots=True)
class Started:
    pid: int
    pidfd: int
    observation: Observation
    warnings: tuple[str, ...]
    terminal: int | None  # the master, where the container has one


async def start(machinery: Machinery, record: Record, stdio: AnyStdio, window: Window = planner.NO_WINDOW) -> Started:
    """Returns when the payload executes. Takes over nothing: the caller closes `stdio`."""
    spec = record.spec
    cgroup.check(spec.limits, machinery.controllers)
    machinery.tasks.start(asyncio.to_thread(cgroup.announce_migration), "announce a migration")
    plan = planner.plan(spec, last_capability=machinery.last_capability, window=window)
    async with AsyncExitStack() as undo:
        stage = await machinery.spawner.spawn(record.id, planner.namespaces(spec), ids_of(record), inherited(spec))
        undo.callback(stage.close)
        on_failure = await undo.enter_async_context(AsyncExitStack())
        on_failure.push_async_callback(_abandon, machinery, record, stage)
        on_failure.callback(machinery.networks.detached, record)
        journal.publish(scope.unit_name(record.spec.name), log_fields(record))
        made = Resources()
        undo.callback(made.close)
        await _side_by_side(
            _attach_scope(machinery, record, stage),
            _prepare(machinery, record, stage, plan, stdio, made),
            machinery.networks.attach(record, stage),
        )
        observation = Observation(machinery.watch, scope.control_group(record.spec.name, record.owner_uid))
        on_failure.callback(observation.close)  # made now: soon the payload may be gone, and the cgroup with it
        await stage.finish(plan)  # past the gate: the scope with all its limits holds the child
        on_failure.pop_all()
        return Started(stage.pid, stage.pidfd, observation, made.warnings, stage.take(terminal.NAME))


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
    }


async def _attach_scope(machinery: Machinery, record: Record, stage: Stage) -> None:
    """The cgroup with all its limits holds the child before the child may do anything."""
    spec = record.spec
    properties = scope.properties(
        spec.name, record.owner_uid, stage.pid, spec.limits, spec.timeout_stop_usec, spec.stop_signal
    )
    properties += devices.properties(spec)
    try:
        await machinery.systemd.start_transient(scope.unit_name(spec.name), properties)
    except SetupFailed:
        raise
    except MctlError as error:
        raise SetupFailed(f"start {scope.unit_name(spec.name)}", error) from error
    group = scope.control_group(spec.name, record.owner_uid)
    limits.complete(group, spec.limits)
    devices.check(spec, group)


async def _prepare(
    machinery: Machinery, record: Record, stage: Stage, plan: Plan, stdio: AnyStdio, made: Resources
) -> None:
    await resources.prepare(machinery, record, stage, made)
    stage.begin(plan, {**made.descriptors, **stdio.payload})
    made.close()


async def _abandon(machinery: Machinery, record: Record, stage: Stage) -> None:
    """The child is ended and reaped; its scope, if there is one, ends with it."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(stage.pidfd, signal.SIGKILL)
    await readable(stage.pidfd)
    os.close(stage.pidfd)
    await machinery.spawner.forget(record.id)


async def _side_by_side(*work: Coroutine[Any, Any, None]) -> None:
    """All to their end, whatever happens; then the first failure."""
    for result in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
