# SPDX-License-Identifier: GPL-3.0-or-later
"""Every escape probe in every kind of container comes to what its table allows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from machine import leaks

from . import expected
from .profiles import PROFILES, Profile

if TYPE_CHECKING:
    from machine.guest import Machine

    from .conftest import Walls

EACH = [pytest.param(p, id=p.name, marks=pytest.mark.nspawn) for p in PROFILES]
CASES = [pytest.param(p, name, id=f"{p.name}-{name}", marks=pytest.mark.nspawn) for p in PROFILES for name in p.table]


@pytest.mark.parametrize("profile", EACH)
def test_the_probes_run_and_leave_nothing_behind(session_machine: Machine, walls: Walls, profile: Profile) -> None:
    walls.warm(profile)
    before = leaks.snapshot(session_machine)
    assert walls.of(profile)
    left = leaks.check(session_machine, before, [])
    assert not left, "left behind:\n  " + "\n  ".join(left)


@pytest.mark.parametrize(("profile", "name"), CASES)
def test_the_wall_holds(walls: Walls, profile: Profile, name: str) -> None:
    found = walls.of(profile)[name]
    if "skipped" in found:
        pytest.skip(found["skipped"])
    assert found["outcome"] in profile.table[name]


@pytest.mark.parametrize("profile", EACH)
def test_the_container_has_one_filter_of_its_own(session_machine: Machine, walls: Walls, profile: Profile) -> None:
    """In systemd-nspawn there are others around the whole machine already."""
    outer = re.search(r"^Seccomp_filters:\t(\d+)$", session_machine.read("/proc/1/status").decode(), re.MULTILINE)
    assert outer
    own = 0 if profile.name == "privileged" else 1
    assert int(walls.of(profile)["seccomp-filters"]["outcome"]) == int(outer[1]) + own


@pytest.mark.nspawn
def test_the_container_may_use_the_processors_of_the_machine(session_machine: Machine, walls: Walls) -> None:
    there = re.search(r"^Cpus_allowed_list:\t(\S+)$", session_machine.read("/proc/1/status").decode(), re.MULTILINE)
    assert there
    assert walls.of(PROFILES[0])["processors"]["outcome"] == there[1]


@pytest.mark.nspawn
def test_every_probe_is_judged(walls: Walls) -> None:
    assert set(walls.of(PROFILES[0])) == set(expected.DEFAULT) | expected.FACTS
