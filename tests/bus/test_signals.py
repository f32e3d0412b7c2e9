# SPDX-License-Identifier: GPL-3.0-or-later
"""Who hears what: unicast, coalesced, and only what the hearer may see."""

from __future__ import annotations

import asyncio

import pytest

from bus.house import ALICE, BOB, CONTAINER, CONTRACT, ROOT_UID, House
from bus.polkit import NO, YES, Asked
from mctld.bus.contract import Contract
from mctld.bus.paths import ROOT, container_path
from mctld.bus.transport import open_socket
from mctld.lifecycle.events import Exit

OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"


def own(asked: Asked) -> tuple[bool, bool]:
    return YES if asked.action == "org.mctl1.inspect-own" else NO


async def test_a_life_is_told_in_order(house: House) -> None:
    root = await house.client(ROOT_UID)
    await root.manager("Subscribe")
    web = house.registry.add("web", ALICE)
    await web.start()
    web.registry.events.changed(web, "Name", "NoSuchProperty", "State")  # type: ignore[arg-type]
    await root.settled()
    web.finish(Exit("exited", 3))
    await web.remove(force=False)
    await root.settled()
    path = container_path("web")
    added, started, changed, exited, removed = root.signals
    assert added[:2] == ("InterfacesAdded", ROOT)
    assert added[2][0] == path
    assert added[2][1][CONTAINER]["Name"].value == "web"
    assert started[:2] == ("PropertiesChanged", path)
    assert {k: v.value for k, v in started[2][1].items()} == {
        "State": "running",
        "MainPID": 4242,
        "StartTimestamp": 2,
        "ControlGroup": "/mctl.slice/mctl-u1000.slice/mctl-web.scope",
    }
    assert (started[2][0], started[2][2]) == (CONTAINER, [])
    assert changed[:2] == ("PropertiesChanged", path)
    assert changed[2][1]["ExitStatus"].value == 3
    assert exited == ("ContainerExited", ROOT, [path, web.id, "exited", 3])
    assert removed == ("InterfacesRemoved", ROOT, [path, [CONTAINER]])


async def test_changes_of_one_turn_become_one_signal(house: House) -> None:
    root = await house.client(ROOT_UID)
    await root.manager("Subscribe")
    web = house.registry.add("web", ALICE)
    for _ in range(1000):
        house.registry.events.changed(web, "State", "MainPID")  # type: ignore[arg-type]
    await root.settled()
    assert [name for name, _, _ in root.signals] == ["InterfacesAdded", "PropertiesChanged"]


async def test_everybody_hears_only_of_what_they_may_see(house: House) -> None:
    root, alice, bob, admin, stranger = [await house.client(uid) for uid in (ROOT_UID, ALICE, BOB, BOB, BOB)]
    house.polkit.decide = lambda asked: YES if asked.sender == admin.name else own(asked)
    for client in (root, alice, bob, admin):
        await client.manager("Subscribe", interactive=True)
    assert not [a for a in house.polkit.asked if a.action == "org.mctl1.inspect-all" and a.interactive]
    web = house.registry.add("web", ALICE)
    await web.start()
    web.finish(Exit("exited"))
    for client in (root, alice, bob, admin, stranger):
        await client.settled()
    heard = [len(client.signals) for client in (root, alice, bob, admin, stranger)]
    assert heard == [3, 3, 0, 3, 0]


async def test_who_may_not_see_all_any_more_hears_no_more(house: House) -> None:
    """polkit tells when its rules have changed; where it was started anew, they may have changed as well."""
    admin = await house.client(BOB)
    house.polkit.decide = lambda asked: YES
    await admin.manager("Subscribe")
    house.registry.add("one", ALICE)
    house.polkit.decide = own
    before = len(house.polkit.asked)
    house.polkit.changed(house.connection.unique_name)
    await asked_again(house, before)
    house.registry.add("two", ALICE)
    house.polkit.decide = lambda asked: YES
    before = len(house.polkit.asked)
    await house.polkit.renew()
    await asked_again(house, before)
    house.registry.add("three", ALICE)
    await admin.settled()
    assert [body[0] for _, _, body in admin.signals] == [container_path("one"), container_path("three")]


async def asked_again(house: House, before: int) -> None:
    """And the answer has been heard."""
    while len(house.polkit.asked) == before:
        await house.polkit.news()
    herald = house.registry.events._listeners[0]
    if herald._reconsidering is not None:  # type: ignore[attr-defined]
        await herald._reconsidering  # type: ignore[attr-defined]


async def test_a_change_of_rules_asks_for_nobody_where_nobody_listens(house: House) -> None:
    alice = await house.client(ALICE)
    house.polkit.changed(house.connection.unique_name)
    await alice.settled()
    assert house.polkit.asked == []


async def test_get_managed_objects_subscribes_and_unsubscribe_ends_it(house: House) -> None:
    alice = await house.client(ALICE)
    house.polkit.decide = own
    await alice.call(ROOT, OBJECT_MANAGER, "GetManagedObjects")
    house.registry.add("one", ALICE)
    await alice.manager("Unsubscribe")
    house.registry.add("two", ALICE)
    await alice.settled()
    assert [body[0] for _, _, body in alice.signals] == [container_path("one")]


async def test_who_leaves_the_bus_is_forgotten(house: House) -> None:
    root, other = await house.client(ROOT_UID), await house.client(ALICE)
    house.polkit.decide = own
    await root.manager("Subscribe")
    await other.manager("Subscribe")
    herald = house.registry.events._listeners[0]
    assert set(herald._subscribers) == {root.name, other.name}  # type: ignore[attr-defined]
    await house.leave(other)
    await root.settled()
    assert set(herald._subscribers) == {root.name}  # type: ignore[attr-defined]


async def test_who_leaves_while_subscribing_is_not_remembered(house: House) -> None:
    alice, bob = await house.client(ALICE), await house.client(BOB)
    house.polkit.decide = lambda asked: None if asked.action == "org.mctl1.inspect-all" else YES
    subscribing = asyncio.create_task(alice.manager("Subscribe"))
    await house.polkit.prompt()
    await house.leave(alice)
    await asyncio.gather(subscribing, return_exceptions=True)
    await bob.settled()
    house.polkit.answer(YES)
    house.polkit.decide = own
    await bob.manager("Subscribe")
    herald = house.registry.events._listeners[0]
    assert set(herald._subscribers) == {bob.name}  # type: ignore[attr-defined]


async def test_a_listener_never_raises(house: House, caplog: pytest.LogCaptureFixture) -> None:
    root = await house.client(ROOT_UID)
    await root.manager("Subscribe")
    web = house.registry.add("web", ALICE)
    web.main_pid = -1
    house.registry.events.changed(web, "MainPID")  # type: ignore[arg-type]
    await root.settled()
    assert "could not be told" in caplog.text
    caplog.clear()


async def test_open_socket_is_refused_by_what_is_no_bus() -> None:
    with pytest.raises(OSError, match=r"[Nn]o such file|refused"):
        await open_socket("unix:path=/nonexistent/bus")


def test_the_signals_of_the_contract_are_those_sent() -> None:
    assert set(Contract(CONTRACT)["org.mctl1.Manager"].signals) == {"ContainerExited", "JobRemoved"}
