# SPDX-License-Identifier: GPL-3.0-or-later
"""What this host's cgroup hierarchy can enforce (Linux cgroup-v2.rst)."""

from __future__ import annotations

import os
import stat

from .. import cpuset
from ..bounds import INFINITY
from ..errors import ADVICE, SetupFailed
from ..limits import Limits
from . import hugepages

RATES = ("IOReadBandwidthMax", "IOWriteBandwidthMax", "IOReadIOPSMax", "IOWriteIOPSMax")
HIERARCHY = "/sys/fs/cgroup"
CONTROLLERS = f"{HIERARCHY}/cgroup.controllers"
ONLINE = {"CPUSet": "/sys/devices/system/cpu/online", "CPUSetMems": "/sys/devices/system/node/has_memory"}

CONTROLLER_OF = {
    "MemoryMax": ("memory_max", "memory"),
    "MemoryHigh": ("memory_high", "memory"),
    "MemoryLow": ("memory_low", "memory"),
    "MemorySwapMax": ("memory_swap_max", "memory"),
    "OOMGroup": ("oom_group", "memory"),
    "CPUQuotaPerSecUSec": ("cpu_quota_per_sec_usec", "cpu"),
    "CPUQuotaPeriodUSec": ("cpu_quota_period_usec", "cpu"),
    "CPUWeight": ("cpu_weight", "cpu"),
    "CPUSet": ("cpu_set", "cpuset"),
    "CPUSetMems": ("cpu_set_mems", "cpuset"),
    "TasksMax": ("tasks_max", "pids"),
    "IOWeight": ("io_weight", "io"),
    "IOReadBandwidthMax": ("io_read_bandwidth_max", "io"),
    "IOWriteBandwidthMax": ("io_write_bandwidth_max", "io"),
    "IOReadIOPSMax": ("io_read_iops_max", "io"),
    "IOWriteIOPSMax": ("io_write_iops_max", "io"),
    "HugeTLBMax": ("huge_tlb_max", hugepages.CONTROLLER),
}
OF_PROGRAMS = {  # what no controller enforces, but programs that PID 1 installs
    "IPAddressAllow": "ip_address_allow",
    "IPAddressDeny": "ip_address_deny",
    "SocketBindDeny": "socket_bind_deny",
}


def holds(control_group: str, told: str) -> bool:
    """Whether a process is in it, or below. told: what its /proc/PID/cgroup says, cgroups(7)."""
    place = told.strip().rpartition("0::")[2]
    return place == control_group or place.startswith(f"{control_group}/")


def needed(limits: Limits) -> dict[str, str]:
    """Controller by asked-for limit. The default of TasksMax is a kindness, not a promise to the caller."""
    plain = Limits()
    return {
        key: controller
        for key, (field, controller) in CONTROLLER_OF.items()
        if getattr(limits, field) not in (getattr(plain, field), INFINITY)
    }


def differences(one: Limits, other: Limits) -> list[str]:
    """Names of the limits in which they differ."""
    every = {name: field for name, (field, _) in CONTROLLER_OF.items()} | OF_PROGRAMS
    return [name for name, field in every.items() if getattr(one, field) != getattr(other, field)]


def available() -> frozenset[str]:
    """Without cgroup v2 nothing is. The service starts all the same, so that somebody can ask it what is missing."""
    try:
        with open(CONTROLLERS, encoding="ascii") as file:
            return frozenset(file.read().split())
    except FileNotFoundError:
        return frozenset()


def check(limits: Limits, controllers: frozenset[str]) -> None:
    """A limit that nothing enforces would be a lie, and a container without a cgroup would be nobody's."""
    if not controllers and not os.path.exists(CONTROLLERS):
        raise SetupFailed("find the cgroup v2 hierarchy", f"none is mounted at {HIERARCHY}; {ADVICE}")
    for name, controller in needed(limits).items():
        if controller not in controllers:
            raise SetupFailed(
                f"enforce {name}",
                f"this host's cgroup v2 hierarchy has no {controller} controller; {ADVICE}",
            )
    _check_online("CPUSet", limits.cpu_set, "processor")
    _check_online("CPUSetMems", limits.cpu_set_mems, "memory node")
    hugepages.check(limits.huge_tlb_max)
    for name in RATES:
        for path, _ in getattr(limits, CONTROLLER_OF[name][0]):
            _check_block_device(name, path)


def _check_online(name: str, wanted: str, what: str) -> None:
    if not wanted:
        return
    online = _online(name)
    missing = cpuset.parse(name, wanted) - online
    if missing:
        raise SetupFailed(
            f"enforce {name} {wanted}", f"{what} {min(missing)} is not there: this host has {cpuset.text(online)}"
        )


def _online(name: str) -> frozenset[int]:
    try:
        with open(ONLINE[name], encoding="ascii") as file:
            return cpuset.parse(name, file.read().strip())
    except FileNotFoundError:  # a kernel without NUMA: all memory is node 0
        return frozenset({0})


def _check_block_device(name: str, path: str) -> None:
    """PID 1 would take any file for the device of its file system, and only log what it does not find."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise SetupFailed(f"enforce {name}", f"the device {path} cannot be found: {error.strerror}") from error
    if not stat.S_ISBLK(mode):
        raise SetupFailed(f"enforce {name}", f"{path} is not a block device: name the disk, as in /dev/sda")
