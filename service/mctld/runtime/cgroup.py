# SPDX-License-Identifier: GPL-3.0-or-later
"""What this host's cgroup hierarchy can enforce (Linux cgroup-v2.rst)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import SetupFailed
from ..spec import DEFAULT_TASKS_MAX, INFINITY

if TYPE_CHECKING:
    from ..spec import Limits

CONTROLLERS = "/sys/fs/cgroup/cgroup.controllers"


def needed(limits: Limits) -> dict[str, str]:
    """Controller by asked-for limit. The default of TasksMax is a kindness, not a promise to the caller."""
    asked = {
        "MemoryMax": ("memory", limits.memory_max != INFINITY),
        "MemorySwapMax": ("memory", limits.memory_swap_max != INFINITY),
        "CPUQuotaPerSecUSec": ("cpu", limits.cpu_quota_per_sec_usec != INFINITY),
        "CPUWeight": ("cpu", limits.cpu_weight != INFINITY),
        "TasksMax": ("pids", limits.tasks_max not in (INFINITY, DEFAULT_TASKS_MAX)),
    }
    return {name: controller for name, (controller, wanted) in asked.items() if wanted}


def available() -> frozenset[str]:
    with open(CONTROLLERS, encoding="ascii") as file:
        return frozenset(file.read().split())


def check(limits: Limits, controllers: frozenset[str]) -> None:
    """A limit that nothing enforces would be a lie."""
    for name, controller in needed(limits).items():
        if controller not in controllers:
            raise SetupFailed(
                f"enforce {name}",
                f"this host's cgroup v2 hierarchy has no {controller} controller "
                "(a cgroup v1 hierarchy may hold it: boot with systemd.unified_cgroup_hierarchy=1)",
            )
