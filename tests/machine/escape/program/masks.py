# SPDX-License-Identifier: GPL-3.0-or-later
"""/proc and /sys: what tells of the host or changes it.

Outcomes of masked paths: "missing" (this kernel has none), "empty", an errno, or "READABLE". Of read-only paths:
"missing", "held" (no file below opens for writing, no directory takes an entry), or "WRITABLE path".
"""

from __future__ import annotations

import glob
import itertools
import os
import stat

from .calls import name_of
from .registry import probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .registry import Probe

# docker's, podman's and systemd-nspawn's together, and what they leave open
MASKED = (
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/key-users", "/proc/kmsg",
    "/proc/kallsyms", "/proc/latency_stats", "/proc/pagetypeinfo", "/proc/sched_debug", "/proc/scsi",
    "/proc/slabinfo", "/proc/sysrq-trigger", "/proc/timer_list", "/proc/timer_stats", "/proc/vmallocinfo",
    "/sys/devices/virtual/powercap", "/sys/firmware", "/sys/fs/bpf", "/sys/fs/selinux", "/sys/kernel/debug",
    "/sys/kernel/security", "/sys/kernel/tracing", "/sys/module",
)  # fmt: skip
THERMAL = "/sys/devices/system/cpu/cpu*/thermal_throttle"
READ_ONLY = (
    "/proc/acpi", "/proc/apm", "/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/scsi", "/proc/sys",
    "/proc/sysrq-trigger", "/sys", "/sys/fs/cgroup",
)  # fmt: skip
WRITES = {
    "core-pattern": "/proc/sys/kernel/core_pattern",  # a pipe to a program that the host runs as root
    "modprobe-path": "/proc/sys/kernel/modprobe",
    "hotplug-path": "/proc/sys/kernel/hotplug",
    "uevent-helper": "/sys/kernel/uevent_helper",
    "binfmt_misc": "/proc/sys/fs/binfmt_misc/register",
    "panic-on-oom": "/proc/sys/vm/panic_on_oom",
    "hostname-sysctl": "/proc/sys/kernel/hostname",
    "ip_forward": "/proc/sys/net/ipv4/ip_forward",
    "sysrq-trigger": "/proc/sysrq-trigger",
    "mtrr": "/proc/mtrr",
    "cgroup-procs": "/sys/fs/cgroup/cgroup.procs",
    "cgroup-memory-max": "/sys/fs/cgroup/memory.max",
    "cgroup-subtree-control": "/sys/fs/cgroup/cgroup.subtree_control",
    "kernel-log": "/dev/kmsg",
}
ENTRIES_MAX = 4000


def _read(path: str) -> str:
    if not os.path.lexists(path):
        return "missing"
    try:
        if os.path.isdir(path):
            return "READABLE" if os.listdir(path) else "empty"
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        return "READABLE" if os.read(descriptor, 4096) else "empty"
    except OSError as error:
        return name_of(error)


def _masked(path: str) -> Probe:
    return lambda: _read(path)


def _opens_for_writing(path: str) -> str:
    """Nothing is written: opening is where permission is decided."""
    try:
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode) or _is_null(status):
            return ""
        if stat.S_ISDIR(status.st_mode):
            made = f"{path}/probe"
            os.mkdir(made)
            os.rmdir(made)
        else:
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return ""
    return path


def _is_null(status: os.stat_result) -> bool:
    """A mask: what is written to it goes nowhere."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == os.makedev(1, 3)


def _read_only(top: str) -> Probe:
    def attempt() -> str:
        if not os.path.lexists(top):
            return "missing"
        paths, seen = [top], 0
        while paths and seen < ENTRIES_MAX:
            path, seen = paths.pop(), seen + 1
            if _opens_for_writing(path):
                return f"WRITABLE {path}"
            if os.path.isdir(path) and not os.path.islink(path) and path not in ("/sys/module", "/sys/kernel/slab"):
                try:
                    paths += [f"{path}/{name}" for name in os.listdir(path)]
                except OSError:
                    continue
        return "held"

    return attempt


def _write(path: str) -> Probe:
    def attempt() -> str:
        if not os.path.lexists(path) or _is_null(os.stat(path)):
            return "missing"
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        return "WRITABLE"

    return attempt


for _path in MASKED:
    probe(f"masked:{_path}")(_masked(_path))
for _path in READ_ONLY:
    probe(f"read-only:{_path}")(_read_only(_path))
for _name, _path in WRITES.items():
    probe(f"write-{_name}")(_write(_path))


@probe("masked:thermal_throttle")
def thermal_throttle() -> str:
    """Of every processor: how hot it gets tells what the neighbours do."""
    found = {_read(path) for path in glob.glob(THERMAL)}
    return "/".join(sorted(found)) or "missing"


@probe("release-agent")
def release_agent() -> str:
    """cgroup v1's way to run a program as the host's root (CVE-2022-0492): no such file anywhere."""
    with open("/proc/self/mountinfo") as file:
        kinds = [line.partition(" - ")[2].split()[0] for line in file]
    found = [path for path in glob.glob("/sys/fs/cgroup/**/release_agent", recursive=True) if os.path.exists(path)]
    return "none" if not found and "cgroup" not in kinds else f"FOUND {found}"


@probe("cgroup-mkdir")
def cgroup_mkdir() -> None:
    os.mkdir("/sys/fs/cgroup/probe")
    os.rmdir("/sys/fs/cgroup/probe")


@probe("kernel-addresses")
def kernel_addresses() -> str:
    """/proc/kallsyms with addresses that are not zero."""
    try:
        with open("/proc/kallsyms") as file:
            addresses = [int(line.split()[0], 16) for line in itertools.islice(file, 50)]
    except OSError:
        return "hidden"
    return "SHOWN" if any(addresses) else "hidden"


@probe("write-own-uid-map")
def own_uid_map() -> None:
    """A map is written once: no host's id can be added."""
    descriptor = os.open("/proc/self/uid_map", os.O_WRONLY)
    os.write(descriptor, b"0 0 1")
