# SPDX-License-Identifier: GPL-3.0-or-later
"""A namespace of a process that may end at any time, and whose pid another process may have then."""

from __future__ import annotations

import os
import signal


def opened(process: int, kind: str) -> int:
    """A descriptor of the one that the process of the pidfd is in. Raises OSError where there is no such process.

    kind: a name below /proc/PID/ns, namespaces(7).
    """
    namespace = os.open(f"/proc/{_pid(process)}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        signal.pidfd_send_signal(process, 0)  # it has not been reaped: so far nobody else can have had its pid
    except BaseException:
        os.close(namespace)
        raise
    return namespace


def identity(process: int, kind: str) -> tuple[int, int]:
    """What is equal for all who are in that one."""
    namespace = opened(process, kind)
    try:
        found = os.fstat(namespace)
    finally:
        os.close(namespace)
    return found.st_dev, found.st_ino


def _pid(process: int) -> int:
    """pidfd_open(2): of its entry in fdinfo, which says -1 when it has been reaped."""
    with open(f"/proc/self/fdinfo/{process}", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pid:"))
