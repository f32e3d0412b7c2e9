# SPDX-License-Identifier: GPL-3.0-or-later
"""Every escape probe in every kind of container comes to what its table allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .profiles import PROFILES, Profile

if TYPE_CHECKING:
    from machine.guest import Machine

    from .conftest import Walls

pytestmark = pytest.mark.both
CASES = [pytest.param(profile, name, id=f"{profile.name}-{name}") for profile in PROFILES for name in profile.table]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_the_probes_run_and_leave_nothing_behind(machine: Machine, walls: Walls, profile: Profile) -> None:
    assert walls.of(profile)


@pytest.mark.parametrize(("profile", "name"), CASES)
def test_the_wall_holds(walls: Walls, profile: Profile, name: str) -> None:
    found = walls.of(profile)[name]
    if "skipped" in found:
        pytest.skip(found["skipped"])
    assert found["outcome"] in profile.table[name]
