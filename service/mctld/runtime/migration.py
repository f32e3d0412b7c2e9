# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel does before a process may change its cgroup, begun early."""

from __future__ import annotations

import contextlib
import time

from .cgroup import HIERARCHY

PAID_FOR = 0.005  # seconds: the least that the kernel takes to forget that somebody has just waited


class Migration:
    """Of a process to its scope.

    A write to a cgroup.procs takes cgroup_threadgroup_rwsem for writing, which costs an RCU grace period of 5 to 15 ms,
    unless another write has just paid for it (kernel/cgroup/cgroup.c, kernel/rcu/sync.c). Ours moves us to where we
    are, and pays while the child is being made: a start after a rest took 26 ms and takes 17 on Linux 6.18 with two
    busy processors. Among many starts each pays for the next. The mount option favordynmods of cgroup2, Linux 6.0,
    makes it needless, but is the administrator's to choose.
    """

    def __init__(self) -> None:
        self._last = -PAID_FOR

    def is_due(self) -> bool:
        """For a start that begins now: whether it has to be announced."""
        before, self._last = self._last, time.monotonic()
        return self._last - before >= PAID_FOR


def announce() -> None:
    """In a thread. If it fails nothing but time is lost."""
    with contextlib.suppress(OSError), open(f"{HIERARCHY}{_own_group()}/cgroup.procs", "w", encoding="ascii") as file:
        file.write("0")  # 0 is the writing process, cgroup-v2.rst


def _own_group() -> str:
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        return next((line[3:].rstrip("\n") for line in file if line.startswith("0::")), "")
