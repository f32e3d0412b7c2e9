# SPDX-License-Identifier: GPL-3.0-or-later
"""What every command gets: the caller's global options, its own, and where to report to."""

from __future__ import annotations

import os

from ..errors import InvalidArgs
from . import state
from .value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .arguments import Options
    from .report import Report

MANAGERS = ("systemd", "cgroupfs", "disabled")
ALL_IDS = ["0", "0", "4294967295"]


@value(frozen=True)
class Call:
    root: str
    manager: str  # of cgroups; empty: as the bundle and the host have it
    rootless: bool
    options: Options
    report: Report


def manager(given: Options) -> str:
    asked = given.text("cgroup-manager")
    if asked and asked not in MANAGERS:
        raise InvalidArgs(f"--cgroup-manager {asked!r} must be one of {', '.join(MANAGERS)}")
    return asked or ("systemd" if given.flag("systemd-cgroup") else "")


def is_rootless() -> bool:
    """Not root, or root of a user namespace alone."""
    if os.geteuid() != 0:
        return True
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return file.read().split() != ALL_IDS


def make(given: Options, options: Options, report: Report) -> Call:
    rootless = is_rootless()
    return Call(state.root_directory(given.text("root"), rootless=rootless), manager(given), rootless, options, report)
