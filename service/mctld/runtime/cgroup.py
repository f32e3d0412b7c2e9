# SPDX-License-Identifier: GPL-3.0-or-later
"""What this host's cgroup hierarchy can enforce (Linux cgroup-v2.rst)."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from ..errors import SetupFailed
from ..spec import DEFAULT_TASKS_MAX, INFINITY

if TYPE_CHECKING:
    from ..spec import Limits

HIERARCHY = "/sys/fs/cgroup"
CONTROLLERS = f"{HIERARCHY}/cgroup.controllers"
CHECK = "`mctl check` says why and what to do"


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
    """Without cgroup v2 nothing is. The service starts all the same, so that somebody can ask it what is missing."""
    try:
        with open(CONTROLLERS, encoding="ascii") as file:
            return frozenset(file.read().split())
    except FileNotFoundError:
        return frozenset()


def announce_migration() -> None:
    """Let the kernel begin to wait for what it will have to wait for when PID 1 moves the child into its scope.

    A write to a cgroup.procs takes cgroup_threadgroup_rwsem for writing, which costs an RCU grace period of 5 to 15 ms,
    unless another write has just paid for it (kernel/cgroup/cgroup.c, kernel/rcu/sync.c). Ours moves us to where we
    are, and pays while the child is being made: a start after a rest took 26 ms and takes 17 on Linux 6.18 with two
    busy processors. If it fails nothing but time is lost. The mount option favordynmods of cgroup2, Linux 6.0, makes
    it needless, but is the administrator's to choose.
    """
    with contextlib.suppress(OSError), open(f"{HIERARCHY}{_own_group()}/cgroup.procs", "w", encoding="ascii") as file:
        file.write("0")  # 0 is the writing process, cgroup-v2.rst


def _own_group() -> str:
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        return next((line[3:].rstrip("\n") for line in file if line.startswith("0::")), "")


def check(limits: Limits, controllers: frozenset[str]) -> None:
    """A limit that nothing enforces would be a lie, and a container without a cgroup would be nobody's."""
    if not controllers and not os.path.exists(CONTROLLERS):
        raise SetupFailed("find the cgroup v2 hierarchy", f"none is mounted at {HIERARCHY}; {CHECK}")
    for name, controller in needed(limits).items():
        if controller not in controllers:
            raise SetupFailed(
                f"enforce {name}",
                f"this host's cgroup v2 hierarchy has no {controller} controller; {CHECK}",
            )
