# SPDX-License-Identifier: GPL-3.0-or-later
"""The cgroup hierarchy and what it can enforce, cgroup-v2.rst of the kernel's documentation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .finding import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .host import Host

HIERARCHY = "/sys/fs/cgroup"
UNIFIED = "systemd.unified_cgroup_hierarchy=1"
OUTSIDE = "inside a container or machine of another host, that host has to do it and to hand the controller on"

REFUSED = "a container that asks for one is refused"

# controller -> what it is good for, what follows where it is missing, what the kernel is built with
CONTROLLERS: Mapping[str, tuple[str, str, str]] = {
    "memory": ("Limits of memory and swap", REFUSED, "CONFIG_MEMCG"),
    "cpu": ("Limits and shares of CPU time", REFUSED, "CONFIG_FAIR_GROUP_SCHED and CONFIG_CFS_BANDWIDTH"),
    "cpuset": ("Sets of CPUs to run on", REFUSED, "CONFIG_CPUSETS"),
    "io": ("Limits and shares of disk traffic", REFUSED, "CONFIG_BLK_CGROUP"),
    "pids": (
        "Limits of processes",
        f"{REFUSED}, and the 2,048 of all others are not enforced, so that one can use up the host's processes",
        "CONFIG_CGROUP_PIDS",
    ),
    "hugetlb": ("Limits of huge pages", REFUSED, "CONFIG_CGROUP_HUGETLB"),
}
LEGACY_NAMES = {"io": "blkio"}


@dataclass(frozen=True, slots=True)
class Legacy:
    """A line of /proc/cgroups: the number of the cgroup v1 hierarchy that holds it, 0 for none."""

    hierarchy: int
    enabled: bool


@dataclass(frozen=True, slots=True)
class Hierarchy:
    controllers: frozenset[str] | None  # None: what is mounted is no cgroup v2
    legacy: Mapping[str, Legacy] = field(default_factory=dict)


def read(host: Host) -> Hierarchy:
    legacy = {}
    for line in (host.text("/proc/cgroups") or "").splitlines():
        match line.split():
            case [name, hierarchy, _, enabled] if hierarchy.isdecimal():
                legacy[name] = Legacy(int(hierarchy), enabled == "1")
    return Hierarchy(host.words(f"{HIERARCHY}/cgroup.controllers"), legacy)


def hierarchy(facts: Hierarchy) -> Finding:
    if facts.controllers is None:
        return Finding(
            "cgroup",
            Verdict.MISSING,
            f"no cgroup v2 is mounted at {HIERARCHY}",
            "No container can be started: its scope, limits and end are a cgroup's of version 2.",
            f"boot with {UNIFIED} on the kernel's command line, and without SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE",
        )
    return Finding("cgroup", Verdict.OK, f"version 2 at {HIERARCHY}", "Each container has a cgroup of its own.")


def controllers(facts: Hierarchy) -> list[Finding]:
    return [controller(facts, name) for name in CONTROLLERS]


def controller(facts: Hierarchy, name: str) -> Finding:
    purpose, without, _ = CONTROLLERS[name]
    if name in (facts.controllers or ()):
        return Finding(f"cgroup.{name}", Verdict.OK, "available", f"{purpose} are enforced.")
    found, remedy = _why(facts, name)
    return Finding(f"cgroup.{name}", Verdict.MISSING, found, f"{purpose} cannot be enforced: {without}.", remedy)


def _why(facts: Hierarchy, name: str) -> tuple[str, str]:
    legacy = facts.legacy.get(LEGACY_NAMES.get(name, name))
    if legacy and not legacy.enabled:
        return (
            "disabled on the kernel's command line",
            f"take cgroup_disable={name} off the kernel's command line; on a Raspberry Pi add cgroup_enable={name}",
        )
    if legacy and legacy.hierarchy:
        return "held by a cgroup v1 hierarchy", f"boot with {UNIFIED} cgroup_no_v1=all; {OUTSIDE}"
    return "not offered", f"install a kernel that is built with {CONTROLLERS[name][2]}; {OUTSIDE}"


@dataclass(frozen=True, slots=True)
class Weighing:
    """Who shares out disk traffic by weight: the scheduler bfq, disk by disk, or the model of io.cost."""

    controller: bool
    disks: tuple[str, ...]


def read_weighing(host: Host) -> Weighing:
    offered = host.words(f"{HIERARCHY}/cgroup.controllers") or ()
    disks = [d for d in host.names("/sys/block") if "[bfq]" in (host.text(f"/sys/block/{d}/queue/scheduler") or "")]
    costs = (host.text(f"{HIERARCHY}/io.cost.qos") or "").splitlines()
    return Weighing("io" in offered, (*disks, *(line.split()[0] for line in costs if "enable=1" in line)))


def io_weight(facts: Weighing) -> Finding:
    name = "cgroup.io.weight"
    if not facts.controller:
        return Finding(name, Verdict.UNKNOWN, "not told without the io controller", "See cgroup.io.")
    if not facts.disks:
        return Finding(
            name,
            Verdict.WARNING,
            "no disk has the scheduler bfq, and none is managed by io.cost",
            "Shares of disk traffic (IOWeight) have no effect; limits have.",
            "modprobe bfq; echo bfq > /sys/block/DISK/queue/scheduler, for each DISK that containers use; "
            "or enable io.cost.qos, described in the kernel's cgroup-v2.rst",
        )
    return Finding(name, Verdict.OK, f"effective on {', '.join(facts.disks)}", "Shares of disk traffic are kept there.")


@dataclass(frozen=True, slots=True)
class Swap:
    memory: bool  # the memory controller watches the service's own cgroup
    counted: bool
    spaces: int


def read_swap(host: Host) -> Swap:
    lines = (host.text("/proc/self/cgroup") or "").splitlines()
    group = next((line[3:] for line in lines if line.startswith("0::")), "")
    own = f"{HIERARCHY}{group}"
    spaces = len((host.text("/proc/swaps") or "").splitlines()[1:])
    return Swap(host.there(f"{own}/memory.max"), host.there(f"{own}/memory.swap.max"), spaces)


def swap(facts: Swap) -> Finding:
    if not facts.memory:
        return Finding("swap", Verdict.UNKNOWN, "not told without the memory controller", "See cgroup.memory.")
    if not facts.counted:
        return Finding(
            "swap",
            Verdict.WARNING,
            "the kernel does not count swap by cgroup",
            "A container that is out of memory swaps without limit.",
            "boot with swapaccount=1 on the kernel's command line",
        )
    found = "counted" if facts.spaces else "counted; the host has none"
    return Finding("swap", Verdict.OK, found, "Limits of swap are enforced.")


def device_rules(failure: str | None) -> Finding:
    """`failure`: why the kernel did not take a program, empty if it did; None where that could not be tried."""
    if failure is None:
        meaning = "systemd enforces rules for devices where the kernel takes programs for them."
        return Finding("cgroup.devices", Verdict.UNKNOWN, "not tried on this kind of processor", meaning)
    if failure:
        return Finding(
            "cgroup.devices",
            Verdict.MISSING,
            f"the kernel takes no program for devices: {failure}",
            "systemd ignores which devices a container may use; only namespaces and file modes keep it from others.",
            f"install a kernel that is built with CONFIG_CGROUP_BPF; {OUTSIDE}",
        )
    return Finding(
        "cgroup.devices", Verdict.OK, "the kernel takes programs for devices", "Rules for devices are enforced."
    )
