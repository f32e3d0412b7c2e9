# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits, completed at a start and changed while a container runs: the store says what the kernel enforces."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ..errors import AlreadyRunning, MctlError, SetupFailed
from ..runtime import cgroup, enforcement, hugepages, rules
from ..systemd import overrides, scope

if TYPE_CHECKING:
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


async def change(machinery: Machinery, record: Record, wanted: Spec, place: Place | None) -> Record:
    """The record with `wanted` for its spec; its limits are in force where it runs, if it does. If anything fails
    nothing has changed."""
    before, after = record.spec.limits, wanted.limits
    enforced = place if after != before else None
    cgroup.check(after, machinery.controllers)
    if enforced and not set(before.socket_bind_deny) <= set(after.socket_bind_deny):
        # systemd 252 and 257 install the new program beside the old one, which stays for as long as the cgroup does
        raise AlreadyRunning("SocketBindDeny can only grow while a container runs: stop it to take ports back from it")
    if enforced:
        await _enforce(machinery, enforced, before, after)
    try:
        return machinery.store.amend(record, wanted)
    except MctlError:
        if enforced:
            await _apply(machinery, enforced, after, before)
        raise


async def _enforce(machinery: Machinery, place: Place, before: Limits, after: Limits) -> None:
    try:
        await _apply(machinery, place, before, after)
        enforcement.check(place.control_group, after)
        rules.check_reach(place.control_group, after)
    except (MctlError, OSError) as error:
        if getattr(error, "name", "") == GONE or not enforcement.exists(place.control_group):
            return  # it has just ended: the next start begins with what the store will say
        with contextlib.suppress(MctlError, OSError):
            await _apply(machinery, place, after, before)
        if isinstance(error, SetupFailed):
            raise
        raise SetupFailed(f"change the limits of {place.unit}", error) from error


async def _apply(machinery: Machinery, place: Place, before: Limits, after: Limits) -> None:
    properties = scope.changed_properties(before, after)
    if properties:
        with overrides.withdrawn(place.unit):
            await machinery.systemd.set_properties(place.unit, properties)
    if before.oom_group != after.oom_group:
        enforcement.set_oom_group(place.control_group, kill_all=after.oom_group)
    if before.huge_tlb_max != after.huge_tlb_max:
        hugepages.limit(cgroup.HIERARCHY, place.control_group, after.huge_tlb_max, before.huge_tlb_max)
