# SPDX-License-Identifier: GPL-3.0-or-later
"""GetProcesses, called over a real bus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bus.house import ALICE, CONTAINER
from bus.polkit import NO, YES
from mctld.bus.paths import container_path
from mctld.state import State

if TYPE_CHECKING:
    from bus.house import House

WEB = container_path("web")


async def test_numbers_are_told_as_both_sides_see_them(house: House) -> None:
    alice = await house.client(ALICE)
    made = house.registry.add("web", ALICE)
    made.state = State.RUNNING
    house.polkit.decide = lambda asked: YES if asked.action == "org.mctl1.inspect-own" else NO
    ((first, second),) = await alice.call(WEB, CONTAINER, "GetProcesses", "t", 0)
    assert {key: value.value for key, value in first.items()} == {
        "PID": 4242, "ContainerPID": 1, "ContainerParentPID": 0, "UID": 1_000_005, "ContainerUID": 5, "State": "S",
        "CPUUsageUSec": 1_000, "ElapsedUSec": 2_000_000, "MemoryResident": 4096, "Name": "sh",
        "Command": ["sh", "-c", "a b"],
    }  # fmt: skip
    assert (second["ContainerParentPID"].value, second["ContainerUID"].value) == (1, 2**32 - 1)


async def test_one_that_does_not_run_has_none(house: House) -> None:
    alice = await house.client(ALICE)
    house.registry.add("web", ALICE)
    house.polkit.decide = lambda _: YES
    error = await alice.error(WEB, CONTAINER, "GetProcesses", "t", 0)
    assert error.name == "org.mctl1.Error.NotRunning"
