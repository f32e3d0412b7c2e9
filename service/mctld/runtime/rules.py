# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of a cgroup for devices and networks, which PID 1 installs as programs: it only logs when it cannot."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..errors import SetupFailed
from ..kernel import programs
from .cgroup import HIERARCHY

_WHY = "`mctl check` may say why, and `systemctl --version` whether it can forbid ports at all (+BPF_FRAMEWORK)"

_DEVICES = "confine the devices"

if TYPE_CHECKING:
    from ..limits import Limits

    Programs = tuple[int, ...] | None  # ids; None: the kernel cannot be asked


def check(control_group: str) -> None:
    """Raises SetupFailed where there are none for devices."""
    _check(control_group, _DEVICES, programs.DEVICE)


def check_reach(control_group: str, limits: Limits) -> None:
    """Raises SetupFailed where there are none for networks, and some were asked for."""
    if limits.ip_address_allow or limits.ip_address_deny:
        _check(control_group, "filter addresses", programs.INGRESS, programs.EGRESS)
    if limits.socket_bind_deny:
        _check(control_group, "forbid ports", programs.BIND4, programs.BIND6)


def of_devices(control_group: str) -> Programs:
    """What to compare check_renewed() with."""
    return _attached(control_group, _DEVICES, programs.DEVICE)[0]


def check_renewed(control_group: str, before: Programs) -> None:
    """Raises SetupFailed where those for devices are still the ones of `before`: PID 1 makes new ones each time."""
    found = of_devices(control_group)
    if found is not None and (not found or found == before):
        raise SetupFailed(_DEVICES, f"systemd has installed no new rules for that; {_WHY}")


def _check(control_group: str, what: str, *kinds: int) -> None:
    if () in _attached(control_group, what, *kinds):
        raise SetupFailed(what, f"systemd has installed no rules for that; {_WHY}")


def _attached(control_group: str, what: str, *kinds: int) -> list[Programs]:
    group = os.open(f"{HIERARCHY}{control_group}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return [programs.attached(group, kind) for kind in kinds]
    except OSError as error:
        raise SetupFailed(what, error.strerror) from error
    finally:
        os.close(group)
