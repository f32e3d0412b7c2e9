# SPDX-License-Identifier: GPL-3.0-or-later
"""Scopes that are empty and would stay: PID 1 hears that a cgroup has become empty from cgroup.events, and there is
nothing to be heard where the only process had ended already when PID 1 attached it (cgroup_migrate_add_task of Linux
passes over processes that are exiting, and answers that all went well).
"""

from __future__ import annotations

import glob
import subprocess
import time
from typing import TYPE_CHECKING

from ..runtime.cgroup import HIERARCHY

if TYPE_CHECKING:
    from collections.abc import Callable

STEP = 0.01  # seconds
SCOPES = f"{HIERARCHY}/mctl.slice/mctl-u*.slice/mctl-*.scope"


def announce(control_group: str, patience: float = 0.0) -> None:
    """If it is empty and stays so, a process comes and goes, for PID 1 to see. Slow: it takes a process.

    patience: seconds in which PID 1, had it noticed by itself, would have removed the directory; while our process is
    in there it could not, and would leave it behind.
    """
    directory = f"{HIERARCHY}{control_group}"
    until = time.monotonic() + patience
    while (empty := _is_empty(directory)) and time.monotonic() < until:
        time.sleep(STEP)  # in a thread, for a start that has failed
    if not empty:
        return
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        try:
            with open(f"{directory}/cgroup.procs", "w", encoding="ascii") as file:
                file.write(str(process.pid))
        except OSError:  # it has just gone, as it should
            pass
        finally:
            process.kill()  # which ends it in a frozen cgroup too


def announce_all(is_used: Callable[[str], bool]) -> None:
    """All scopes of ours but those that are used, by the name of the unit."""
    for directory in glob.glob(SCOPES):
        if not is_used(directory.rpartition("/")[2]):
            announce(directory.removeprefix(HIERARCHY))


def _is_empty(directory: str) -> bool:
    try:
        with open(f"{directory}/cgroup.events", encoding="ascii") as file:
            return "populated 0\n" in file
    except OSError:
        return False
