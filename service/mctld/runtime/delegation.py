# SPDX-License-Identifier: GPL-3.0-or-later
"""A cgroup becomes its container's, to divide further: Linux cgroup-v2.rst, Delegation."""

from __future__ import annotations

import os

from ..errors import SetupFailed
from .cgroup import HIERARCHY

FILES = "/sys/kernel/cgroup/delegate"  # which of them the kernel wants to be given away; limits are not among them
# Whoever looks at a unit walks through all cgroups below it, PID 1 as well: of 20,000 it took four seconds to be rid,
# and 1,500 in each other it left to the next container of that name.
BOUNDS = {"cgroup.max.descendants": 4_096, "cgroup.max.depth": 64}


def delegate(control_group: str, owner: int) -> None:
    """owner: the host's id of the container's root."""
    directory = f"{HIERARCHY}{control_group}"
    try:
        for name, most in BOUNDS.items():
            with open(f"{directory}/{name}", "w", encoding="ascii") as file:
                file.write(str(most))
        with open(FILES, encoding="ascii") as file:
            names = file.read().split()
        for name in (".", *names):
            if name == "." or os.path.exists(f"{directory}/{name}"):  # some belong to controllers that are off
                os.chown(f"{directory}/{name}", owner, owner, follow_symlinks=False)
    except OSError as error:
        raise SetupFailed("give it its cgroup", f"{error.strerror} ({error.filename})") from error
