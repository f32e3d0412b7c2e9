# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits, completed at a start and changed while a container runs: the store says what the kernel enforces."""

from __future__ import annotations

import contextlib
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from .. import disk
from ..errors import AlreadyRunning, MctlError, SetupFailed
from ..runtime import cgroup, enforcement, hugepages, rules
from ..runtime.rlimits import RunningLimits
from ..systemd import overrides, scope
from . import bootunit, devices, intent
from .readiness import is_readable
from .undoing import Undoing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..limits import Limits
    from ..spec import Spec
    from ..store import Record
    from .machinery import Machinery
    from .place import Place

GONE = "org.freedesktop.systemd1.NoSuchUnit"


def complete(control_group: str, limits: Limits) -> None:
    """What PID 1 does not do for a new scope: limits that it has no property for, and a look at all of them."""
    add(control_group, limits)
    enforcement.check(control_group, limits)
    rules.check_reach(control_group, limits)


def add(control_group: str, limits: Limits) -> None:
    """What PID 1 has no property for."""
    if limits.oom_group:
        enforcement.set_oom_group(control_group, kill_all=True)
    hugepages.limit(cgroup.HIERARCHY, control_group, limits.huge_tlb_max)


async def change(
    machinery: Machinery,
    record: Record,
    wanted: Spec,
    place: Place | None,
    process: int | None,
    show: Callable[[Record], None],
) -> None:
    """`show` gets the record with `wanted` for its spec, whose limits and devices are in force where it runs. If
    anything fails nothing has changed: so the store is told last. process: a pidfd of the first one.
    """
    before, after = record.spec.limits, wanted.limits
    cgroup.check(after, machinery.controllers)
    if place and not set(before.socket_bind_deny) <= set(after.socket_bind_deny):
        # systemd 252 and 257 install the new program beside the old one, which stays for as long as the cgroup does
        raise AlreadyRunning("SocketBindDeny can only grow while a container runs: stop it to take ports back from it")
    with ExitStack() as taken:
        if place:
            taken.enter_context(intent.kept(machinery, record, wanted))
        async with Undoing(f"change container {wanted.name!r}") as undo:
            running = await _enforce(machinery, record, wanted, place, process, undo, taken) if place else None
            undo.add(bootunit.renew, machinery, record)
            await bootunit.renew(machinery, replace(record, spec=wanted))
            undo.add(_shown, show, record)
            show(replace(record, spec=wanted))  # what is executed from here on begins with that, or looks once more
            if place and running:
                with _explained(place, process):
                    await _limit(machinery, record, running.apply)
            show(machinery.store.amend(record, wanted))
            undo.forget()


async def _shown(show: Callable[[Record], None], record: Record) -> None:
    show(record)


async def restore(machinery: Machinery, record: Record, halfway: Spec, place: Place, process: int | None) -> None:
    """As the store says, where a change to `halfway` was cut off. How far it had come nobody knows."""
    stored = record.spec
    with _explained(place, process):
        await _apply(machinery, place, halfway.limits, stored.limits)
        enforcement.check(place.control_group, stored.limits)
        rules.check_reach(place.control_group, stored.limits)
        if halfway.devices != stored.devices and process is not None:
            await devices.change_rules(machinery, place, stored.devices)
            await devices.replug(machinery, record, halfway, process)
        if changed := _resource_limits(stored, halfway):
            running = RunningLimits(place.control_group, changed, stored.security.resource_limits)
            await _limit(machinery, record, running.undo)
    await bootunit.renew(machinery, record)
    if place.is_service:
        await machinery.systemd.reload()  # else PID 1 looks for what overrides.py takes away


def difference(before: Spec, after: Spec) -> list[str]:
    """Names of what has changed, as the bus has them."""
    others = {
        "RestartPolicy": before.restart != after.restart,
        "Rlimits": before.security.rlimits != after.security.rlimits,
        "Devices": before.devices != after.devices,
    }
    return cgroup.differences(before.limits, after.limits) + [name for name, changed in others.items() if changed]


def need_pid_1(before: Spec, after: Spec) -> bool:
    """Whether the unit's cgroup changes: unit_update_cgroup() of systemd 252 and 257, cgroup.c, refuses where it is
    frozen, says so in the journal alone, and comes back to it at the next change after the thaw."""
    return bool(scope.changed_properties(before.limits, after.limits)) or before.devices != after.devices


async def follow_up(machinery: Machinery, record: Record, before: Spec, place: Place) -> None:
    """Of what has begun with the limits of `before`, and been executed while those of all others were changed."""
    if wanted := _resource_limits(before, record.spec):
        running = RunningLimits(place.control_group, wanted, before.security.resource_limits)
        await _limit(machinery, record, running.apply)


async def _enforce(
    machinery: Machinery,
    record: Record,
    wanted: Spec,
    place: Place,
    process: int | None,
    undo: Undoing,
    taken: ExitStack,
) -> RunningLimits | None:
    """`undo` makes it as it was, with what `taken` closes in the end. What has set the limits of its processes."""
    before, running = record.spec, None
    undo.only_while(lambda: not _has_ended(None, place, process))
    if place.is_service and need_pid_1(before, wanted):
        undo.add(machinery.systemd.reload)  # else PID 1 looks for what overrides.py takes away
    with _explained(place, process):
        if before.limits != wanted.limits:
            undo.add(_apply, machinery, place, wanted.limits, before.limits)
            await _apply(machinery, place, before.limits, wanted.limits)
            enforcement.check(place.control_group, wanted.limits)
            rules.check_reach(place.control_group, wanted.limits)
        if before.devices != wanted.devices and process is not None:
            undo.add(devices.change_rules, machinery, place, before.devices)
            await devices.change_rules(machinery, place, wanted.devices)
            gone = await devices.plug(machinery, record, wanted, process)
            taken.callback(devices.close, gone)
            undo.add(devices.plug_back, machinery, record, wanted, process, gone)
        if changed := _resource_limits(before, wanted):
            running = RunningLimits(place.control_group, changed, before.security.resource_limits)
            undo.add(_limit, machinery, record, running.undo)
            await _limit(machinery, record, running.apply)
    return running


@contextlib.contextmanager
def _explained(place: Place, process: int | None) -> Iterator[None]:
    """What fails because it has just ended fails nobody: the next start begins with what the store will say."""
    try:
        yield
    except (MctlError, OSError) as error:
        if _has_ended(error, place, process):
            return
        if isinstance(error, SetupFailed):
            raise
        why = disk.told_of_file(error) if isinstance(error, OSError) else error
        raise SetupFailed(f"change the limits of {place.unit}", why) from error


def _has_ended(error: Exception | None, place: Place, process: int | None) -> bool:
    """Its first process, with which the kernel ends all others; PID 1 and the cgroup follow later."""
    gone = getattr(error, "name", "") == GONE or not enforcement.exists(place.control_group)
    return gone or (process is not None and is_readable(process))


def _resource_limits(before: Spec, after: Spec) -> dict[str, tuple[int, int]]:
    had = before.security.resource_limits
    return {name: pair for name, pair in after.security.resource_limits.items() if pair != had[name]}


async def _limit(machinery: Machinery, record: Record, work: Callable[[], None]) -> None:
    await machinery.looking.run(record.owner_uid, work, ExitStack(), lambda _: None)


async def _apply(machinery: Machinery, place: Place, before: Limits, after: Limits) -> None:
    properties = scope.changed_properties(before, after)
    if properties:
        with overrides.withdrawn(place.unit):
            await machinery.systemd.set_properties(place.unit, properties)
    if before.oom_group != after.oom_group:
        enforcement.set_oom_group(place.control_group, kill_all=after.oom_group)
    if before.huge_tlb_max != after.huge_tlb_max:
        hugepages.limit(cgroup.HIERARCHY, place.control_group, after.huge_tlb_max, before.huge_tlb_max)
