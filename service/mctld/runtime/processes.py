# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of a cgroup and those below it, from cgroup.procs and proc(5)."""

from __future__ import annotations

import errno
import os
import time

from ..process import Process
from . import cgroup
from .cgroup import HIERARCHY

PROCESSES_MAX = 4_096
COMMAND_MAX = 4_096  # bytes of the arguments
PROC = "/proc"
TICK = 1_000_000 // os.sysconf("SC_CLK_TCK")  # microseconds
PAGE = os.sysconf("SC_PAGE_SIZE")
# A process that is just ending answers ESRCH, a cgroup ENODEV; one of threads has no cgroup.procs, EOPNOTSUPP.
GONE = (errno.ENOENT, errno.ESRCH, errno.ENODEV, errno.EOPNOTSUPP)


def read(control_group: str) -> list[Process]:
    """At most PROCESSES_MAX of them. May take long where a process is stuck: not for the event loop."""
    found = []
    for pid in pids(control_group, PROCESSES_MAX)[:PROCESSES_MAX]:
        try:
            found.append(_process(pid, control_group))
        except OSError as error:
            if error.errno not in GONE:
                raise
    return sorted((each for each in found if each), key=lambda each: each.inner_pid)


def began(pid: int, control_group: str) -> str | None:
    """When, in ticks since the boot, as proc_pid_stat(5) writes it. None: the number is another's by now."""
    opened = os.open(f"{PROC}/{pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not cgroup.holds(control_group, _text(opened, "cgroup")):
            return None
        return _stat(_text(opened, "stat"))[1][19]
    finally:
        os.close(opened)


def pids(control_group: str, most: int | None = None) -> list[int]:
    """Of those in it and below. most: from how many on it looks no further."""
    found: list[int] = []
    for where, _, _ in os.walk(f"{HIERARCHY}{control_group}"):
        try:
            with open(f"{where}/cgroup.procs", encoding="ascii") as file:
                found += map(int, file)
        except OSError as error:
            if error.errno not in GONE:
                raise
        if most is not None and len(found) > most:
            break
    return found


def _process(pid: int, control_group: str) -> Process | None:
    """None: the number is another's by now. What is read through the directory is all of one process."""
    opened = os.open(f"{PROC}/{pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not cgroup.holds(control_group, _text(opened, "cgroup")):
            return None
        name, fields = _stat(_text(opened, "stat"))
        status = dict(line.split(":\t", 1) for line in _text(opened, "status").splitlines() if ":\t" in line)
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000
        arguments = "" if fields[0] == "Z" else _text(opened, "cmdline", COMMAND_MAX)
        inner, uid = int(status["NSpid"].split()[-1]), int(status["Uid"].split()[1])
        return Process(
            pid=pid, inner_pid=inner, parent=int(fields[1]), uid=uid,
            state=fields[0], cpu_usec=(int(fields[11]) + int(fields[12])) * TICK,
            elapsed_usec=max(now - int(fields[19]) * TICK, 0), memory=int(fields[21]) * PAGE, name=name,
            command=tuple(arguments.removesuffix("\0").split("\0")) if arguments else (),
        )  # fmt: skip
    finally:
        os.close(opened)


def _stat(text: str) -> tuple[str, list[str]]:
    """comm may have blanks and brackets: it ends at the last one."""
    front, _, rest = text.rpartition(") ")
    return front.partition("(")[2], rest.split()


def _text(directory: int, name: str, most: int = -1) -> str:
    with os.fdopen(os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory), "rb") as file:
        return file.read(most).decode("utf-8", "replace")
