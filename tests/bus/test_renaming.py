# SPDX-License-Identifier: GPL-3.0-or-later
"""Rename, called over a real bus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bus.house import ALICE, CONTAINER
from bus.polkit import YES
from mctld.bus.paths import container_path

if TYPE_CHECKING:
    from bus.house import House

OLD, NEW = container_path("old"), container_path("new")


async def test_one_object_goes_and_another_comes(house: House) -> None:
    alice = await house.client(ALICE)
    made = house.registry.add("old", ALICE)
    house.polkit.decide = lambda _: YES
    await alice.call(OLD, CONTAINER, "Rename", "st", "new", 0)
    (asked,) = house.polkit.asked
    assert asked.action == "org.mctl1.manage-own"
    assert {"verb": "rename", "container": "old", "new_name": "new"}.items() <= asked.details.items()
    assert house.registry.get("new") is made
    assert (await alice.error(OLD, CONTAINER, "Rename", "st", "x", 0)).name != ""


async def test_a_name_is_judged_before_anybody_is_asked(house: House) -> None:
    alice = await house.client(ALICE)
    house.registry.add("old", ALICE)
    for name in ("", "New", "a/b", "a\nb", "x" * 64):
        error = await alice.error(OLD, CONTAINER, "Rename", "st", name, 0)
        assert error.name == "org.freedesktop.DBus.Error.InvalidArgs"
    assert house.polkit.asked == []
