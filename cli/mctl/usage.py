# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container uses, in people's words: rates from two looks, shares of limits."""

from __future__ import annotations

from typing import Any

from .client import INFINITY
from .sizes import readable

Sample = dict[str, dict[str, Any]]  # by id, as GetStats tells

HEADS = ("NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS", "ID")
UNKNOWN = "-"
# What GetStats tells of each, as of a container that does not run.
NOTHING = dict.fromkeys(
    (
        "CPUUsageUSec", "MemoryCurrent", "MemoryCache", "MemoryPeak", "MemoryLimit", "MemorySwapCurrent",
        "TasksCurrent", "IOReadBytes", "IOWriteBytes", "CPUPressureUSec", "MemoryPressureUSec", "IOPressureUSec",
        "NetworkReceivedBytes", "NetworkSentBytes", "TimestampMonotonic",
    ),
    INFINITY,
)  # fmt: skip


def for_people(before: dict[str, Any] | None, now: dict[str, Any]) -> dict[str, str]:
    """What templates may use besides, in docker's words where it has some. before: what was told last time."""
    memory = now["MemoryCurrent"]
    if known(memory, now["MemoryCache"]):
        memory -= min(memory, now["MemoryCache"])  # docker leaves it out, too: it is given up before anybody is killed
    used = amount(memory)
    most = amount(now["MemoryLimit"], unlimited="none" if known(now["TimestampMonotonic"]) else UNKNOWN)
    return {
        "CPU": processors(before, now),
        "Memory": used,
        "Limit": most,
        "MemUsage": f"{used} / {most}",
        "MemPerc": share(memory, now["MemoryLimit"]),
        "NetIO": f"{amount(now['NetworkReceivedBytes'])} / {amount(now['NetworkSentBytes'])}",
        "BlockIO": f"{amount(now['IOReadBytes'])} / {amount(now['IOWriteBytes'])}",
        "CPUPerc": processors(before, now),
        "PIDs": str(now["TasksCurrent"]) if known(now["TasksCurrent"]) else UNKNOWN,
    }


def row(told: dict[str, Any]) -> tuple[str, ...]:
    return (
        told["Name"], told["CPU"], told["MemUsage"], told["MemPerc"], told["NetIO"],
        told["BlockIO"], told["PIDs"], told["Id"][:12],
    )  # fmt: skip


def known(*numbers: int) -> bool:
    return INFINITY not in numbers


def processors(before: dict[str, Any] | None, now: dict[str, Any]) -> str:
    """Percent of one processor: 200 are two."""
    if not before or not known(before["CPUUsageUSec"], now["CPUUsageUSec"]):
        return UNKNOWN
    passed = now["TimestampMonotonic"] - before["TimestampMonotonic"]
    used = now["CPUUsageUSec"] - before["CPUUsageUSec"]
    return f"{100 * used / passed:.1f}" if passed > 0 <= used else UNKNOWN  # it was started anew meanwhile


def amount(size: int, unlimited: str = UNKNOWN) -> str:
    return readable(size) if known(size) else unlimited


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if known(part, whole) and whole else UNKNOWN
