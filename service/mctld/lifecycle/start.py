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
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import MctlError, SetupFailed
from ..runtime import cgroup, planner, rootfs, users
from ..systemd import journal, scope
from .readiness import readable

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from ..runtime.launch import Stage
    from ..runtime.plan import Plan
    from ..store import Record
    from .machinery import Machinery
    from .stdio import Stdio


@dataclass(frozen=True, slots=True)
class Started:
    pid: int
    pidfd: int
    memory_events: int | None  # watched; None where there is no memory controller


async def start(machinery: Machinery, record: Record, stdio: Stdio) -> Started:
    """Returns when the payload executes. Takes over nothing: the caller closes `stdio`."""
    cgroup.check(record.spec.limits, machinery.controllers)
    machinery.tasks.start(asyncio.to_thread(cgroup.announce_migration), "announce a migration")
    plan = planner.plan(record.spec, last_capability=machinery.last_capability)
    async with AsyncExitStack() as undo:
        stage = await machinery.spawner.spawn(record.id, planner.NAMESPACES, users.whole(record.uid_shift))
        undo.callback(stage.close)
        on_failure = await undo.enter_async_context(AsyncExitStack())
        on_failure.push_async_callback(_abandon, machinery, record, stage)
        on_failure.callback(machinery.networks.detached, record)
        journal.publish(scope.unit_name(record.spec.name), log_fields(record))
        await _side_by_side(
            _attach_scope(machinery, record, stage),
            _prepare(machinery, record, stage, plan, stdio),
            machinery.networks.attach(record, stage),
        )
        memory_events = watch_memory(machinery, record)  # soon the payload may be gone, and the cgroup with it
        on_failure.callback(unwatch_memory, machinery, memory_events)
        await stage.finish(plan)  # past the gate: the scope with all its limits holds the child
        on_failure.pop_all()
        return Started(stage.pid, stage.pidfd, memory_events)


def log_fields(record: Record) -> dict[str, str]:
    return {
        "CONTAINER_NAME": record.spec.name,
        "CONTAINER_ID": record.id,
        "CONTAINER_OWNER_UID": str(record.owner_uid),
    }


async def _attach_scope(machinery: Machinery, record: Record, stage: Stage) -> None:
    """The cgroup with all its limits holds the child before the child may do anything."""
    spec = record.spec
    properties = scope.properties(spec.name, record.owner_uid, stage.pid, spec.limits, spec.timeout_stop_usec)
    try:
        await machinery.systemd.start_transient(scope.unit_name(spec.name), properties)
    except SetupFailed:
        raise
    except MctlError as error:
        raise SetupFailed(f"start {scope.unit_name(spec.name)}", error) from error


async def _prepare(machinery: Machinery, record: Record, stage: Stage, plan: Plan, stdio: Stdio) -> None:
    with ExitStack() as opened:
        descriptors = {"root": await _make_root(machinery, record, stage)}
        opened.callback(os.close, descriptors["root"])
        program = await _make_filter(machinery, record)
        if program is not None:
            opened.callback(os.close, program)
            descriptors["seccomp"] = program
        stage.begin(plan, {**descriptors, **stdio.payload})


async def _make_filter(machinery: Machinery, record: Record) -> int | None:
    """The compiled system call filter; None where there is to be none."""
    allowed = planner.confinement(record.spec)
    try:
        return await machinery.filters.open(allowed.seccomp, frozenset(allowed.capabilities))
    except (OSError, RuntimeError, ImportError) as error:  # libseccomp's binding knows no finer ones
        raise SetupFailed("compile the system call filter", error) from error


async def _make_root(machinery: Machinery, record: Record, stage: Stage) -> int:
    """One detached mount: the authorized directory, idmapped, below the container's own layer."""
    namespace = await _id_view(machinery, record, stage)
    try:
        return await asyncio.to_thread(_build_root, machinery, record, namespace)
    except OSError as error:
        raise SetupFailed(f"build the root file system of {record.spec.rootfs.path!r}", _explain(error)) from error


async def _id_view(machinery: Machinery, record: Record, stage: Stage) -> int:
    owner = record.spec.rootfs.owner
    if owner is None:
        return stage.open_namespace("user")
    return await machinery.spawner.user_namespace(users.only(*owner, record.uid_shift))


def _build_root(machinery: Machinery, record: Record, namespace: int) -> int:
    """In a thread: a file system may be slow, or gone. Takes over the user namespace's descriptor."""
    directory = f"{machinery.settings.containers}/{record.id}"
    with ExitStack() as opened:
        opened.callback(os.close, namespace)
        lower = rootfs.open_lower(record.spec.rootfs)
        opened.callback(os.close, lower)
        rootfs.make_layers(directory, lower, record.uid_shift, owned=record.spec.rootfs.owner is not None)
        mounted = rootfs.lower_mount(lower, namespace)
        opened.callback(os.close, mounted)
        return machinery.staging.overlay(mounted, directory, volatile=record.spec.auto_remove)


def _explain(error: OSError) -> str:
    text = f"{error.strerror}" + (f" ({error.filename!r})" if error.filename else "")
    if "mount_setattr" in str(error.strerror):
        return f"{text}: its file system does not offer idmapped mounts; ext4, xfs and btrfs do"
    return text


def watch_memory(machinery: Machinery, record: Record) -> int | None:
    """An open memory.events that is being watched; None where there is no memory controller."""
    group = scope.control_group(record.spec.name, record.owner_uid)
    try:
        events = os.open(f"/sys/fs/cgroup{group}/memory.events", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        machinery.memory.add(events)
    except OSError:
        os.close(events)
        raise
    return events


def unwatch_memory(machinery: Machinery, events: int | None) -> int:
    """How many processes have been killed for want of memory."""
    if events is None:
        return 0
    kills = machinery.memory.remove(events)
    os.close(events)
    return kills


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
