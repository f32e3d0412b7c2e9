# SPDX-License-Identifier: GPL-3.0-or-later
"""Update over the bus: what is judged, what is told, and to whom."""

from __future__ import annotations

from typing import Any

import pytest
from dbus_next.signature import Variant

from bus.house import ALICE, CONTAINER, House
from bus.polkit import NO, YES
from mctld.bounds import INFINITY
from mctld.bus.paths import container_path
from mctld.limits import Limits

INVALID = "org.freedesktop.DBus.Error.InvalidArgs"
MIB = 1 << 20


async def test_what_is_named_changes_and_is_told(house: House) -> None:
    alice = await house.client(ALICE)
    house.polkit.decide = lambda _: YES
    web = house.registry.add("web", ALICE, limits=Limits(cpu_weight=7, io_read_iops_max=(("/dev/a", 1),)))
    await alice.manager("Subscribe")
    rates = Variant("a{st}", {"/dev/b": 2, "/dev/c": INFINITY})
    changes = {"MemoryMax": Variant("t", 8 * MIB), "CPUSet": Variant("s", "0-1"), "IOReadIOPSMax": rates}
    await alice.container("web", "Update", "a{sv}t", changes, 0)
    assert web.spec.limits == Limits(
        memory_max=8 * MIB, memory_swap_max=0, cpu_weight=7, cpu_set="0-1", io_read_iops_max=(("/dev/b", 2),)
    )
    await alice.settled()
    ((member, path, (interface, changed, invalidated)),) = alice.signals
    assert (member, path, interface, invalidated) == ("PropertiesChanged", container_path("web"), CONTAINER, [])
    assert {name: value.value for name, value in changed.items()} == {
        "MemoryMax": 8 * MIB, "MemorySwapMax": 0, "CPUSet": "0-1", "IOReadIOPSMax": {"/dev/b": 2},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "there is nothing to change"),
        ({"Command": Variant("as", ["x"])}, "option 'Command' is not known"),
        ({"MemoryMax": Variant("u", 5)}, "option MemoryMax must be an unsigned 64-bit integer (type t)"),
        ({"IOReadBandwidthMax": Variant("a(st)", [])}, "option IOReadBandwidthMax must be a dictionary"),
        ({"MemoryMax": Variant("t", 1)}, "MemoryMax 1 is too small"),
        ({"CPUWeight": Variant("t", 5), "TasksMax": Variant("t", 0)}, "TasksMax 0 is out of range"),
        ({"MemoryHigh": Variant("t", 9 * MIB)}, "MemoryHigh 9437184 is above MemoryMax 8388608"),
    ],
)
async def test_a_bad_change_changes_nothing(house: House, changes: dict[str, Any], sentence: str) -> None:
    alice = await house.client(ALICE)
    house.polkit.decide = lambda _: YES
    limits = Limits(memory_max=8 * MIB)
    web = house.registry.add("web", ALICE, limits=limits)
    error = await alice.error(container_path("web"), CONTAINER, "Update", "a{sv}t", changes, 0)
    assert error.name == INVALID
    assert sentence in error.text
    assert web.spec.limits == limits


async def test_rules_see_what_would_be_changed(house: House) -> None:
    alice = await house.client(ALICE)
    house.registry.add("web", ALICE)
    house.polkit.decide = lambda asked: NO if int(asked.details.get("limits.MemoryMax", "0")) > 8 * MIB else YES
    await alice.container("web", "Update", "a{sv}t", {"MemoryMax": Variant("t", 8 * MIB)}, 0)
    changes = {"MemoryMax": Variant("t", 9 * MIB), "IOReadIOPSMax": Variant("a{st}", {"/dev/a": 5})}
    refused = await alice.error(container_path("web"), CONTAINER, "Update", "a{sv}t", changes, 0)
    assert refused.name == "org.freedesktop.DBus.Error.AccessDenied"
    assert house.polkit.asked[-1].details["limits.IOReadIOPSMax"] == "/dev/a:5"
