# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel enforces on a cgroup, read back (Linux cgroup-v2.rst): PID 1 only logs what it could not write."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .. import cpuset
from ..errors import SetupFailed
from .cgroup import CONTROLLER_OF, HIERARCHY, needed

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..limits import Limits

PAGE = os.sysconf("SC_PAGE_SIZE")
_RATES = {
    "IOReadBandwidthMax": "rbps",
    "IOWriteBandwidthMax": "wbps",
    "IOReadIOPSMax": "riops",
    "IOWriteIOPSMax": "wiops",
}


def exists(control_group: str) -> bool:
    return os.path.isdir(f"{HIERARCHY}{control_group}")


def set_oom_group(control_group: str, *, kill_all: bool) -> None:
    """Of the files in a cgroup that is delegated to us this one is ours to write: /sys/kernel/cgroup/delegate."""
    try:
        with open(f"{HIERARCHY}{control_group}/memory.oom.group", "w", encoding="ascii") as file:
            file.write("1" if kill_all else "0")
    except OSError as error:
        raise SetupFailed("enforce OOMGroup", error.strerror) from error


def check(control_group: str, limits: Limits) -> None:
    """Raises SetupFailed for a limit that was asked for and is not in force."""
    for name in needed(limits):
        if name not in FILES:
            continue
        file, met = FILES[name]
        text = _read(f"{HIERARCHY}{control_group}/{file}")
        if text is None or not met(text, getattr(limits, CONTROLLER_OF[name][0])):
            found = "there is none" if text is None else f"it holds {text!r}"
            raise SetupFailed(f"enforce {name}", f"the kernel has not taken it over into {file}: {found}")


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except FileNotFoundError:
        return None


def _bytes(text: str, asked: int) -> bool:
    """The kernel counts whole pages."""
    return text == str(asked // PAGE * PAGE)


def _number(text: str, asked: int) -> bool:
    return text == str(int(asked))


def _quota(text: str, asked: int) -> bool:
    """PID 1 chooses the period such that both numbers are whole and not too small; a hundredth may be lost."""
    quota, period = text.split()
    return quota != "max" and abs(int(quota) * 1_000_000 / int(period) - asked) <= asked / 100


def _set(text: str, asked: str) -> bool:
    return cpuset.parse("cpuset", text) == cpuset.parse("cpuset", asked)


def _weight(text: str, asked: int) -> bool:
    return text.splitlines()[:1] == [f"default {asked}"]


def _rates(key: str) -> Callable[[str, tuple[tuple[str, int], ...]], bool]:
    def met(text: str, asked: tuple[tuple[str, int], ...]) -> bool:
        lines = dict(line.split(" ", 1) for line in text.splitlines())
        return all(f"{key}={rate}" in lines.get(_disk(path), "").split() for path, rate in asked)

    return met


def _disk(path: str) -> str:
    """MAJOR:MINOR of the whole disk: the kernel limits no partition of its own."""
    number = os.stat(path).st_rdev
    device = f"{os.major(number)}:{os.minor(number)}"
    if os.path.exists(f"/sys/dev/block/{device}/partition"):
        return _read(f"/sys/dev/block/{device}/../dev") or device
    return device


FILES: dict[str, tuple[str, Callable[..., bool]]] = {
    "MemoryMax": ("memory.max", _bytes),
    "MemoryHigh": ("memory.high", _bytes),
    "MemoryLow": ("memory.low", _bytes),
    "MemorySwapMax": ("memory.swap.max", _bytes),
    "OOMGroup": ("memory.oom.group", _number),
    "CPUQuotaPerSecUSec": ("cpu.max", _quota),
    "CPUWeight": ("cpu.weight", _number),
    "CPUSet": ("cpuset.cpus", _set),
    "CPUSetMems": ("cpuset.mems", _set),
    "TasksMax": ("pids.max", _number),
    "IOWeight": ("io.weight", _weight),
    **{name: ("io.max", _rates(key)) for name, key in _RATES.items()},
}
