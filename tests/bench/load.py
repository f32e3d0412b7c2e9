# SPDX-License-Identifier: GPL-3.0-or-later
"""What else the processors did while something was measured: figures of a busy host are no figures."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
UNSTEADY = "ext4 without a journal: figures of starts and of images are too bad"


@dataclass(frozen=True)
class Moment:
    """Seconds of processor time since boot."""

    clock: float
    busy: float  # the whole host: /proc/stat is not namespaced
    stolen: float  # taken by the hypervisor
    ours: float  # this machine: the root of its cgroup namespace

    @staticmethod
    def now() -> Moment:
        user, nice, system, _, _, irq, softirq, steal = _processors()
        return Moment(time.monotonic(), user + nice + system + irq + softirq, steal, used_here())

    def until_now(self) -> str:
        """Shares of all processors since this moment, in words."""
        now = Moment.now()
        whole = max(now.clock - self.clock, 0.01) * (os.cpu_count() or 1)
        here = (now.ours - self.ours) / whole
        others = max((now.busy - self.busy) / whole - here, 0)
        stolen = (now.stolen - self.stolen) / whole
        return f"this machine {here:.0%} of the processors, others {others:.0%}, stolen {stolen:.0%}"


def describe() -> dict[str, str]:
    release = platform.freedesktop_os_release()
    return {"distro": release["PRETTY_NAME"], "kernel": platform.release(), "processors": str(os.cpu_count()),
            "disk": disk("/srv"), "load average": Path("/proc/loadavg").read_text().rsplit(maxsplit=2)[0]}  # fmt: skip


def disk(path: str) -> str:
    """What containers' files lie on. Without a journal ext4 passes over each inode that was freed in the last minutes
    (recently_deleted() of Linux): what makes and removes many files is slower from round to round.
    """
    device = os.stat(path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    kind = next((line[line.index("-") + 1] for line in lines if line[2] == number), "unknown")
    journals = Path("/proc/fs/jbd2").glob(f"{Path('/sys/dev/block', number).resolve().name}-*")
    return UNSTEADY if kind == "ext4" and not any(journals) else kind


def _processors() -> list[float]:
    """proc_stat(5): user nice system idle iowait irq softirq steal."""
    return [int(word) / TICKS for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]


def used_here() -> float:
    """Seconds of processor time that this machine has had: what else the host does is hardly in it."""
    words = Path("/sys/fs/cgroup/cpu.stat").read_text().split()
    return int(words[words.index("usage_usec") + 1]) / 1e6
