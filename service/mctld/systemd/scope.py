# SPDX-License-Identifier: GPL-3.0-or-later
"""The scope that owns a container's cgroup, systemd.scope(5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dbus_next.signature import Variant

from ..spec import INFINITY

if TYPE_CHECKING:
    from ..spec import Limits

STOP_GRACE_USEC = 5_000_000  # beyond the container's own timeout: we kill it, PID 1 only if we cannot


def unit_name(container: str) -> str:
    return f"mctl-{container}.scope"


def slice_name(owner_uid: int) -> str:
    return f"mctl-u{owner_uid}.slice"


def control_group(container: str, owner_uid: int) -> str:
    """Below /sys/fs/cgroup; a slice a-b.slice lies in a.slice, systemd.slice(5)."""
    return f"/mctl.slice/{slice_name(owner_uid)}/{unit_name(container)}"


def properties(container: str, owner_uid: int, pid: int, limits: Limits, timeout_stop_usec: int) -> list[list[Any]]:
    """For StartTransientUnit. No text of a caller's but the validated name: it would end up in a unit file."""
    grace = min(timeout_stop_usec + STOP_GRACE_USEC, INFINITY)
    return [
        ["Description", Variant("s", f"Container {container}")],
        ["PIDs", Variant("au", [pid])],
        ["Slice", Variant("s", slice_name(owner_uid))],
        ["Delegate", Variant(signature="b", value=True)],
        ["Controller", Variant("s", "org.mctl1")],
        ["TimeoutStopUSec", Variant("t", grace)],
        ["CollectMode", Variant("s", "inactive-or-failed")],
        ["OOMPolicy", Variant("s", "continue")],
        ["After", Variant("as", ["mctld.service", "dbus.service"])],
        *limit_properties(limits),
    ]


def limit_properties(limits: Limits) -> list[list[Any]]:
    """systemd.resource-control(5); what is not limited is left to the slice."""
    asked = {
        "MemoryMax": limits.memory_max,
        "MemorySwapMax": limits.memory_swap_max,
        "CPUQuotaPerSecUSec": limits.cpu_quota_per_sec_usec,
        "CPUWeight": limits.cpu_weight,
    }
    found = [[name, Variant("t", value)] for name, value in asked.items() if value != INFINITY]
    return [*found, ["TasksMax", Variant("t", limits.tasks_max)]]
