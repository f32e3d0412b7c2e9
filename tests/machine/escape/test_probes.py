# SPDX-License-Identifier: GPL-3.0-or-later
"""Every escape probe in every kind of container comes to what its table allows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from .profiles import PROFILES, Profile

if TYPE_CHECKING:
    from machine.guest import Machine

    from .conftest import Walls

pytestmark = pytest.mark.both
CASES = [pytest.param(profile, name, id=f"{profile.name}-{name}") for profile in PROFILES for name in profile.table]


@pytest.fixture(scope="module", autouse=True)
def warm(walls: Walls) -> None:
    walls.warm()


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_the_probes_run_and_leave_nothing_behind(machine: Machine, walls: Walls, profile: Profile) -> None:
    assert walls.of(profile)


@pytest.mark.parametrize(("profile", "name"), CASES)
def test_the_wall_holds(walls: Walls, profile: Profile, name: str) -> None:
    found = walls.of(profile)[name]
    if "skipped" in found:
        pytest.skip(found["skipped"])
    assert found["outcome"] in profile.table[name]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_the_container_has_one_filter_of_its_own(machine: Machine, walls: Walls, profile: Profile) -> None:
    """In systemd-nspawn there are others around the whole machine already."""
    outer = re.search(r"^Seccomp_filters:\t(\d+)$", machine.read("/proc/1/status").decode(), re.MULTILINE)
    assert outer
    own = 0 if profile.name == "privileged" else 1
    assert int(walls.of(profile)["seccomp-filters"]["outcome"]) == int(outer[1]) + own


def test_the_container_may_use_the_processors_of_the_machine(machine: Machine, walls: Walls) -> None:
    there = re.search(r"^Cpus_allowed_list:\t(\S+)$", machine.read("/proc/1/status").decode(), re.MULTILINE)
    assert there
    assert walls.of(PROFILES[0])["processors"]["outcome"] == there[1]
