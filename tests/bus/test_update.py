# SPDX-License-Identifier: GPL-3.0-or-later
"""Update over the bus: what is judged, what is told, and to whom."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from typing import Any

import pytest
from dbus_next.signature import Variant

from bus.house import ALICE, BOB, CONTAINER, ROOT_UID, Client, House
from bus.polkit import NO, YES
from mctld.bounds import INFINITY
from mctld.bus.paths import container_path
from mctld.device import Device
from mctld.limits import Limits
from mctld.security import Security

SET_OWN, PRIVILEGED = "org.mctl1.set-limits-own", "org.mctl1.create-privileged"
NULL = Device("/dev/null", 1, 3, block=False, target="/dev/x", permissions="rw")
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
        ({"Rlimits": Variant("a{s(tt)}", {"NOFILE": [9, 8]})}, "Rlimits NOFILE has a soft limit of 9 above its hard"),
        ({"Rlimits": Variant("a{s(tt)}", {"FILES": [8, 8]})}, "Rlimits 'FILES' is not known"),
        ({"TakenDevices": Variant("as", ["/dev/x"])}, "has no such device, it has none"),
        ({"TakenDevices": Variant("as", ["/dev/\x1b"])}, "TakenDevices"),
        ({"Devices": Variant("a(hss)", [[0, "/dev/x", ""]])}, "file descriptor 0 did not come with the message"),
        ({"Devices": Variant("a(hss)", [[0, "/dev/x", ""]] * 13)}, "Devices has 13 entries: the most is 12"),
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


async def update(client: Client, changes: dict[str, Variant], device: str = "", *, interactive: bool = False) -> str:
    """The refusal, empty if there is none."""
    fds = [os.open(device, os.O_PATH)] if device else []
    try:
        path = container_path("web")
        await client.call(path, CONTAINER, "Update", "a{sv}t", changes, 0, fds=fds, interactive=interactive)
    except Exception as error:
        return str(error)
    finally:
        for fd in fds:
            os.close(fd)
    return ""


def limit(**given: tuple[int, int]) -> dict[str, Variant]:
    return {"Rlimits": Variant("a{s(tt)}", {name: list(pair) for name, pair in given.items()})}


def device(target: str, permissions: str = "rw") -> dict[str, Variant]:
    return {"Devices": Variant("a(hss)", [[0, target, permissions]])}


def actions(house: House) -> list[str]:
    found = [asked.action for asked in house.polkit.asked]
    house.polkit.asked.clear()
    return found


async def test_limits_of_processes_change_one_by_one(house: House) -> None:
    root = await house.client(ROOT_UID)
    house.registry.add("web", ALICE, security=Security(rlimits=(("CORE", 0, 0), ("NOFILE", 5, 6))))
    await root.manager("Subscribe")
    assert await update(root, limit(NOFILE=(7, 8), nproc=(9, 9))) == ""
    found = await root.get("web", "Rlimits")
    assert (found["CORE"], found["NOFILE"], found["NPROC"]) == ([0, 0], [7, 8], [9, 9])
    await root.settled()
    ((_, _, (_, changed, _)),) = root.signals
    assert list(changed) == ["Rlimits"]


async def test_devices_are_given_changed_and_taken(house: House) -> None:
    root = await house.client(ROOT_UID)
    house.registry.add("web", ALICE)
    await root.manager("Subscribe")
    assert await update(root, device("/dev/x"), "/dev/null") == ""
    assert await update(root, device("/dev/y", "r"), "/dev/zero") == ""
    assert await update(root, device("/dev/x", "w"), "/dev/full") == ""
    assert await root.get("web", "Devices") == [["/dev/full", "/dev/x", "w"], ["/dev/zero", "/dev/y", "r"]]
    both = {"TakenDevices": Variant("as", ["/dev/x", "/dev/y"])}
    assert await update(root, {**both, **device("/dev/y/z")}, "/dev/null") == ""
    assert await root.get("web", "Devices") == [["/dev/null", "/dev/y/z", "rw"]]
    assert "web' has no such device, it has /dev/y/z" in await update(root, both)
    assert "is not a device node" in await update(root, device("/dev/x"), "/etc/passwd")
    assert "/dev/null is taken" in await update(root, device("/dev/null"), "/dev/null")
    await root.settled()
    assert {tuple(changed) for _, _, (_, changed, _) in root.signals} == {("Devices",)}


async def test_what_it_has_not_had_takes_what_its_creation_would(house: House) -> None:
    alice = await house.client(ALICE)
    house.polkit.decide = lambda _: YES
    web = house.registry.add("web", ALICE)
    for changes, opened, more in (
        (limit(NOFILE=(5, 524_288), AS=(1, INFINITY)), "", ""),
        (limit(NOFILE=(5, 1_000_000)), "", "a resource limit NOFILE of 1000000"),
        (limit(NOFILE=(9, 1_000_000)), "", ""),
        (limit(MEMLOCK=(9, INFINITY)), "", "a resource limit MEMLOCK of unlimited"),
        (limit(NOFILE=(9, 600_000)), "", ""),
        (limit(NOFILE=(9, 600_001), NICE=(0, 1)), "", "a resource limit NICE of 1; a resource limit NOFILE of 600001"),
        (device("/dev/x", "r"), "/dev/null", "the device /dev/null (read-only)"),
        (device("/dev/x", "rw"), "/dev/null", "the device /dev/null"),
        (device("/dev/y", "w"), "/dev/null", ""),
        (device("/dev/y", "wm"), "/dev/null", "the device /dev/null"),
        (device("/dev/y", "r"), "/dev/zero", "the device /dev/zero (read-only)"),
        ({"TakenDevices": Variant("as", ["/dev/x", "/dev/y"])}, "", ""),
        (device("/dev/x", "r"), "/dev/null", "the device /dev/null (read-only)"),
    ):
        assert await update(alice, changes, opened) == ""
        asked = house.polkit.asked[-1]
        assert asked.details.get("gained", "") == more
        assert ("so that it has $(gained)" in asked.details["polkit.message"]) == bool(more)
        assert actions(house) == ([SET_OWN, PRIVILEGED] if more else [SET_OWN])
    assert web.spec.security.rlimits == (
        ("AS", 1, INFINITY), ("MEMLOCK", 9, INFINITY), ("NICE", 0, 1), ("NOFILE", 9, 600_001),
    )  # fmt: skip
    house.polkit.decide = lambda asked: NO if asked.action == PRIVILEGED else YES
    before = web.spec
    assert PRIVILEGED in await update(alice, device("/dev/x", "rw"), "/dev/null")
    assert PRIVILEGED in await update(alice, limit(NOFILE=(1, 600_002)))
    assert web.spec == before


async def test_rules_see_devices_and_limits_of_processes(house: House) -> None:
    alice = await house.client(ALICE)
    house.polkit.decide = lambda _: YES
    house.registry.add("web", ALICE, devices=(replace(NULL, target="/dev/old"),))
    taken = {"TakenDevices": Variant("as", ["/dev/old"])}
    await update(alice, {**device("/dev/x", "r"), **taken, **limit(NOFILE=(5, 6), CORE=(0, 0))}, "/dev/null")
    details = house.polkit.asked[-1].details
    assert details["devices"] == "/dev/null:/dev/x:r"
    assert details["taken_devices"] == "/dev/old"
    assert details["limits.Rlimits"] == "CORE:0:0,NOFILE:5:6"


async def test_anothers_container_tells_nothing_by_what_is_asked(house: House) -> None:
    """Whether it has the device already, or is there at all."""
    bob = await house.client(BOB)
    told = []
    for add in (
        lambda: None,
        lambda: house.registry.add("web", ALICE),
        lambda: house.registry.add("web", ALICE, devices=(NULL,)),
    ):
        house.registry.containers.clear()
        add()
        house.polkit.decide = lambda asked: NO if asked.action == PRIVILEGED else YES
        refused = await update(bob, device("/dev/x"), "/dev/null")
        told.append((refused, actions(house)))
    assert told[0] == told[1] == told[2]
    assert told[0][1] == ["org.mctl1.set-limits", PRIVILEGED]


async def test_what_was_taken_away_while_somebody_was_asked_is_not_given_again(house: House) -> None:
    """The question was about permissions of a device that it had; an administrator took it meanwhile."""
    alice = await house.client(ALICE)
    web = house.registry.add("web", ALICE, devices=(NULL,))
    house.polkit.decide = lambda _: None
    waiting = asyncio.create_task(update(alice, device("/dev/x", "r"), "/dev/null", interactive=True))
    await asyncio.wait_for(house.polkit.prompt(), 30)
    web.spec = replace(web.spec, devices=())
    house.polkit.answer(YES)
    assert "no more: ask again" in await waiting
    assert web.spec.devices == ()


async def test_consent_is_to_what_was_named(house: House) -> None:
    """An administrator agrees to a limit; a device that was hers, and so not in the question, was taken meanwhile."""
    alice = await house.client(ALICE)
    web = house.registry.add("web", ALICE, devices=(NULL,))
    house.polkit.decide = lambda _: None
    both = {**device("/dev/x", "r"), **limit(NICE=(1, 1))}
    waiting = asyncio.create_task(update(alice, both, "/dev/null", interactive=True))
    await asyncio.wait_for(house.polkit.prompt(), 30)
    house.polkit.answer(YES)
    await asyncio.wait_for(house.polkit.prompt(), 30)
    assert house.polkit.asked[-1].details["gained"] == "a resource limit NICE of 1"
    web.spec = replace(web.spec, devices=())
    house.polkit.answer(YES)
    assert "/dev/null (read-only) no more: ask again" in await waiting
    assert web.spec.devices == ()


async def test_root_gives_what_it_likes(house: House) -> None:
    root = await house.client(ROOT_UID)
    web = house.registry.add("web", ALICE)
    assert await update(root, {**device("/dev/x"), **limit(NICE=(1, 1))}, "/dev/null") == ""
    assert web.spec.devices == (NULL,)
    assert web.spec.security.rlimits == (("NICE", 1, 1),)
