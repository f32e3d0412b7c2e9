# SPDX-License-Identifier: GPL-3.0-or-later
"""What /proc tells of the process behind a call, for the record alone: nothing is ever decided by it.

The process may have executed something else since, and the name it goes by is its own choice. Its unit and its audit
login uid are not: cgroups(7), proc_pid_loginuid(5).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

READ_MAX = 4096
UNSET = str(2**32 - 1)  # (uid_t) -1: nobody has logged in before it
_UNIT = re.compile(r"(?:^|/)([^/]+\.(?:service|scope))(?:/|$)")  # the outermost: what is below is the unit's own
_SESSION = re.compile(r"session-([^/]+)\.scope")
_UIDS = re.compile(r"^Uid:\t(\d+)\t(\d+)\t", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Origin:
    """All empty where the process is gone, or is no longer the user's."""

    comm: str = ""
    unit: str = ""
    session: str = ""  # of logind
    login_uid: str = ""  # of the audit subsystem: who has logged in, whatever became of the uid since


def of(pid: int, uid: int) -> Origin:
    """A descriptor of /proc/PID stays that process's, whoever gets the number later."""
    if pid <= 0:
        return Origin()
    try:
        directory = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return Origin()
    try:
        uids = _UIDS.search(_read(directory, "status"))
        if uids is None or str(uid) not in uids.groups():
            return Origin()
        return _origin(directory)
    finally:
        os.close(directory)


def _origin(directory: int) -> Origin:
    group = next((line[3:] for line in _read(directory, "cgroup").splitlines() if line.startswith("0::")), "")
    unit = _UNIT.search(group)
    session = _SESSION.fullmatch(unit[1]) if unit else None
    login_uid = _read(directory, "loginuid").strip()
    return Origin(
        comm=_read(directory, "comm").rstrip("\n"),
        unit=unit[1] if unit else "",
        session=session[1] if session else "",
        login_uid="" if login_uid == UNSET else login_uid,
    )


def _read(directory: int, name: str) -> str:
    """Empty where the process has ended, or the kernel does not tell."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return ""
    try:
        return os.read(fd, READ_MAX).decode(errors="replace")
    except OSError:
        return ""
    finally:
        os.close(fd)
