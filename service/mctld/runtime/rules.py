# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules for devices of a cgroup, which PID 1 installs as programs: it only logs when it cannot."""

from __future__ import annotations

import os

from ..errors import SetupFailed
from ..kernel.programs import count_device_programs
from .cgroup import HIERARCHY


def check(control_group: str) -> None:
    """Raises SetupFailed where there are none."""
    group = os.open(f"{HIERARCHY}{control_group}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = count_device_programs(group)
    except OSError as error:
        raise SetupFailed("confine the devices", error.strerror) from error
    finally:
        os.close(group)
    if found == 0:
        raise SetupFailed("confine the devices", "systemd has installed no rules for them; `mctl check` may say why")
