# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container uses, as the kernel counts it (Linux cgroup-v2.rst, "Interface Files"; psi.rst; sysfs-class-net)."""

from __future__ import annotations

import errno
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..usage import Usage
from . import cgroup
from .cgroup import HIERARCHY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

STATISTICS = "/sys/class/net/{}/statistics/{}"
# A cgroup that is just being removed answers ENODEV, a process that is just ending ESRCH.
GONE = {errno.ENOENT, errno.ENODEV, errno.ESRCH}


@dataclass(frozen=True, slots=True)
class Inside:
    """Interfaces without an end on the host, in the network namespace of a process."""

    pid: int = 0
    interfaces: tuple[str, ...] = ()

    def read(self, control_group: str) -> list[tuple[int, int, int, int]]:
        """Bytes and packets received, bytes and packets sent, of each that is there: /proc/PID/net/dev, proc(5).

        Nothing where the process has ended: whoever has its pid then is in another cgroup.
        """
        if not self.interfaces:
            return []
        text, place = (_content(f"/proc/{self.pid}/{name}") or "" for name in ("net/dev", "cgroup"))
        if not cgroup.holds(control_group, place):
            return []
        rows = (line.partition(":") for line in text.splitlines()[2:])
        found = {name.strip(): [int(word) for word in counters.split()] for name, _, counters in rows}
        return [(row[0], row[1], row[8], row[9]) for name in self.interfaces if (row := found.get(name))]


def read(control_group: str, links: Iterable[str], inside: Inside | None = None) -> Usage | None:
    """None: it is not there (any more). links: the host's ends of its interfaces."""
    group = f"{HIERARCHY}{control_group}"
    cpu, memory, io = _table(group, "cpu.stat"), _table(group, "memory.stat"), _text(group, "io.stat")
    if cpu is None:
        return None
    links, further = tuple(links), inside.read(control_group) if inside else []
    return Usage(
        monotonic_usec=time.monotonic_ns() // 1000,
        cpu_usec=cpu.get("usage_usec"),
        memory=_number(group, "memory.current"),
        memory_cache=memory.get("inactive_file") if memory else None,
        memory_peak=_number(group, "memory.peak"),
        memory_limit=_number(group, "memory.max"),
        swap=_number(group, "memory.swap.current"),
        tasks=_number(group, "pids.current"),
        io_read=_sum(io, "rbytes"),
        io_written=_sum(io, "wbytes"),
        cpu_stalled_usec=_stalled(group, "cpu"),
        memory_stalled_usec=_stalled(group, "memory"),
        io_stalled_usec=_stalled(group, "io"),
        received=_counted(links, "tx_bytes", [row[0] for row in further]),  # what the host's end sends arrives inside
        sent=_counted(links, "rx_bytes", [row[2] for row in further]),
        received_packets=_counted(links, "tx_packets", [row[1] for row in further]),
        sent_packets=_counted(links, "rx_packets", [row[3] for row in further]),
    )


def _text(group: str, name: str) -> str | None:
    return _content(f"{group}/{name}")


def _content(path: str) -> str | None:
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError as error:
        if error.errno in GONE or error.errno == errno.EOPNOTSUPP:  # PSI can be switched off
            return None
        raise


def _number(group: str, name: str) -> int | None:
    text = (_text(group, name) or "").strip()
    return int(text) if text.isdigit() else None  # "max" is no number


def _table(group: str, name: str) -> Mapping[str, int] | None:
    text = _text(group, name)
    if text is None:
        return None
    pairs = (line.split() for line in text.splitlines())
    return {key: int(value) for key, value in pairs}


def _sum(text: str | None, key: str) -> int | None:
    """Over all disks."""
    if text is None:
        return None
    words = (word.partition("=") for word in text.split())
    return sum(int(value) for name, _, value in words if name == key)


def _stalled(group: str, resource: str) -> int | None:
    text = _text(group, f"{resource}.pressure") or ""
    some = next((line for line in text.splitlines() if line.startswith("some ")), "")
    return next((int(word[6:]) for word in some.split() if word.startswith("total=")), None)


def _counted(links: tuple[str, ...], what: str, further: list[int]) -> int | None:
    found = [_content(STATISTICS.format(link, what)) for link in links]
    return sum(int(text) for text in found if text) + sum(further) if links or further else None
