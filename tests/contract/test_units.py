# SPDX-License-Identifier: GPL-3.0-or-later
"""What the units of the services must say, since PID 1's default would be wrong."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from mctld.network.connection import LINK_NAME, link_name
from mctld.systemd import scope

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "units"


@pytest.mark.parametrize("unit", ["mctld.service", "mctl-spawner.service", "mctl-spawner@.service", "mctl@.service"])
def test_a_child_that_is_ended_for_want_of_memory_ends_no_service(unit: str) -> None:
    """OOMPolicy= is stop otherwise, systemd.service(5): one archive could end what all containers depend on."""
    assert "OOMPolicy=continue" in (UNITS / unit).read_text().splitlines()


def test_what_looks_after_containers_is_stopped_after_them() -> None:
    """A drop-in for all units whose names begin so and with a dash, systemd.unit(5)."""
    (drop_ins,) = UNITS.glob("*.slice.d")
    assert scope.slice_name(1000).startswith(drop_ins.name.removesuffix(".slice.d"))
    assert "After=mctld.service mctl-spawner.service dbus.service" in (drop_ins / "order.conf").read_text().splitlines()


def test_udev_is_told_of_containers_ends_of_networks_alone() -> None:
    """By a file that it reads after its own 99-systemd.rules, whose list of programs it replaces."""
    (rules,) = (ROOT / "packaging").glob("*.rules")
    assert rules.name > "99-systemd.rules"
    (pattern,) = re.findall(r'^SUBSYSTEM=="net", KERNEL=="([^"]*)",', rules.read_text(), re.MULTILINE)
    name = link_name("0123456789abcdef", "bridge")
    assert LINK_NAME.fullmatch(name)
    assert fnmatchcase(name, pattern)
    assert not any(fnmatchcase(other, pattern) for other in ("mctl0", "mctl4095", f"{name}0", "mctlelsewhere", "veth0"))
