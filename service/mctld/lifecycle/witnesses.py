# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd, the journal's fields and the kernel tell of containers that run, whatever the store says."""

from __future__ import annotations

import os
import time

from ..runtime.cgroup import HIERARCHY
from ..systemd import journal, scope, service
from ..unreadable import Witness


def running() -> dict[str, Witness]:
    """By id. Root alone writes these fields."""
    found = {}
    for unit in journal.published():
        fields = journal.published_fields(unit)
        name, owner = fields.get("CONTAINER_NAME", ""), fields.get("CONTAINER_OWNER_UID", "")
        if not owner.isdecimal():
            continue
        kind = next((kind for kind in (scope, service) if unit == kind.unit_name(name)), None)
        if kind and (pid := first_process(kind.control_group(name, int(owner)))):
            found[fields.get("CONTAINER_ID", "")] = Witness(name, int(owner), _root_outside(pid), pid)
    return found


def first_process(control_group: str) -> int:
    """Of those in the cgroup and below it the one that is 1 in the outermost namespace it is in; 0 if there is none."""
    found = [(depth, pid) for pid in _processes(f"{HIERARCHY}{control_group}") if (depth := _depth_as_first(pid))]
    return min(found, default=(0, 0))[1]


def started(pid: int) -> tuple[int, int]:
    """When, in microseconds since the epoch and of CLOCK_MONOTONIC: proc_pid_stat(5) counts from the boot on."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            ticks = int(file.read().rpartition(b") ")[2].split()[19])
    except (OSError, IndexError):
        return 0, 0
    age = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000 - ticks * 1_000_000 // os.sysconf("SC_CLK_TCK")
    return time.time_ns() // 1_000 - age, time.monotonic_ns() // 1_000 - age


def _processes(directory: str) -> list[int]:
    found = []
    for place, _, _ in os.walk(directory):
        try:
            with open(f"{place}/cgroup.procs", encoding="ascii") as file:
                found += [int(line) for line in file]
        except OSError:  # it is gone, or threaded
            continue
    return found


def _depth_as_first(pid: int) -> int:
    """In how many PID namespaces it is, if the first of the innermost; else 0. NSpid of proc_pid_status(5)."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            pids = next(line.split()[1:] for line in file if line.startswith("NSpid:"))
    except (OSError, StopIteration):
        return 0
    return len(pids) if len(pids) > 1 and pids[-1] == "1" else 0


def _root_outside(pid: int) -> int:
    """Which id of the host is 0 inside."""
    try:
        with open(f"/proc/{pid}/uid_map", encoding="ascii") as file:
            inside, outside, _ = map(int, file.readline().split())
    except (OSError, ValueError):
        return 0
    return outside if inside == 0 else 0
