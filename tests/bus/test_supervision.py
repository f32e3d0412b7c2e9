# SPDX-License-Identifier: GPL-3.0-or-later
"""Restart policies and health over the bus: what is asked for, what is told, what a rule sees."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from dbus_next.signature import Variant

from bus.house import ALICE, CONTAINER, MANAGER, PROPERTIES, House
from bus.polkit import NO, YES
from mctld.bus.paths import ROOT, container_path
from mctld.health import HealthCheck
from mctld.lifecycle.logs import EventQuery, LogQuery
from mctld.lifecycle.vitals import Result
from mctld.restart import RestartPolicy
from mctld.state import State

if TYPE_CHECKING:
    from pathlib import Path

INVALID = "org.freedesktop.DBus.Error.InvalidArgs"
HEALTH = {
    "HealthCommand": Variant("as", ["curl", "-f", "localhost"]),
    "HealthIntervalUSec": Variant("t", 5_000_000),
    "HealthTimeoutUSec": Variant("t", 2_000_000),
    "HealthRetries": Variant("u", 7),
    "HealthStartPeriodUSec": Variant("t", 60_000_000),
    "HealthOnFailure": Variant("s", "restart"),
}


async def create(house: House, tmp_path: Path, options: dict[str, Variant]) -> Any:
    client = await house.client(ALICE)
    os.chown(tmp_path, ALICE, ALICE)
    rootfs = os.open(tmp_path, os.O_PATH)
    try:
        given = {"Rootfs": Variant("h", 0), "Command": Variant("as", ["true"]), **options}
        return await client.call(ROOT, MANAGER, "CreateContainer", "sa{sv}t", "new", given, 0, fds=[rootfs])
    finally:
        os.close(rootfs)


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files to others takes root")
async def test_what_is_asked_for_is_made(house: House, tmp_path: Path) -> None:
    house.polkit.decide = lambda _: YES
    await create(house, tmp_path, {**HEALTH, "RestartPolicy": Variant("s", "on-failure:5")})
    made = house.registry.containers["new"].spec
    assert made.restart == RestartPolicy("on-failure", 5)
    command = ("curl", "-f", "localhost")
    assert made.health == HealthCheck(command, 5_000_000, 2_000_000, 7, 60_000_000, "restart")
    assert house.polkit.asked[-1].details["health_command"] == "curl -f localhost"


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files to others takes root")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"RestartPolicy": Variant("s", "maybe")}, "RestartPolicy 'maybe' is not known"),
        ({"RestartPolicy": Variant("s", "always"), "AutoRemove": Variant("b", value=True)}, "exclude each other"),
        ({"HealthRetries": Variant("t", 3)}, "HealthRetries must be an unsigned 32-bit integer"),
        ({"HealthOnFailure": Variant("s", "pray")}, "HealthOnFailure 'pray' is not known"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    house: House, tmp_path: Path, options: dict[str, Variant], words: str
) -> None:
    house.polkit.decide = lambda _: YES
    with pytest.raises(Exception, match=words) as refused:
        await create(house, tmp_path, options)
    assert getattr(refused.value, "name", "") == INVALID
    assert not house.registry.containers


async def test_its_owner_sees_why_and_how_often(house: House) -> None:
    alice = await house.client(ALICE)
    house.polkit.decide = lambda _: YES
    web = house.registry.add("web", ALICE, restart=RestartPolicy("always"), health=HealthCheck(("true",)))
    web.state, web.restarts, web.next_start_usec, web.health = State.RESTARTING, 4, 77, "unhealthy"
    web.health_results = (Result(1, 2, 124, "it took\ntoo long"),)
    (values,) = await alice.call(container_path("web"), PROPERTIES, "GetAll", "s", CONTAINER)
    found = {name: value.value for name, value in values.items()}
    assert (found["State"], found["RestartPolicy"], found["RestartCount"]) == ("restarting", "always", 4)
    assert (found["NextStartTimestamp"], found["Health"], found["HealthCommand"]) == (77, "unhealthy", ["true"])
    assert found["HealthLog"] == [[1, 2, 124, "it took\ntoo long"]]


async def test_a_policy_can_be_changed_and_that_is_told(house: House) -> None:
    alice = await house.client(ALICE)
    house.polkit.decide = lambda _: YES
    web = house.registry.add("web", ALICE)
    await alice.manager("Subscribe")
    changes = {"RestartPolicy": Variant("s", "unless-stopped"), "TasksMax": Variant("t", 5)}
    await alice.container("web", "Update", "a{sv}t", changes, 0)
    assert (str(web.spec.restart), web.spec.limits.tasks_max) == ("unless-stopped", 5)
    assert house.polkit.asked[-1].details["limits.RestartPolicy"] == "unless-stopped"
    await alice.settled()
    ((_, _, (_, changed, _)),) = alice.signals
    assert changed["RestartPolicy"].value == "unless-stopped"
    bad = {"RestartPolicy": Variant("s", "on-failure:x"), "TasksMax": Variant("t", 9)}
    error = await alice.error(container_path("web"), CONTAINER, "Update", "a{sv}t", bad, 0)
    assert error.name == INVALID
    assert web.spec.limits.tasks_max == 5


@pytest.mark.parametrize(("all_of_them", "owner"), [(YES, None), (NO, ALICE)])
async def test_events_are_of_what_the_caller_may_see(house: House, all_of_them: Any, owner: int | None) -> None:
    alice = await house.client(ALICE)
    house.polkit.decide = lambda asked: all_of_them if asked.action == "org.mctl1.inspect-all" else YES
    options = {"Names": Variant("as", ["web"]), "Since": Variant("t", 5), "Follow": Variant("b", value=True)}
    await alice.manager("OpenEvents", "a{sv}t", options, 0)
    log = LogQuery(follow=True, since_usec=5, output="json")
    assert house.registry.asked == [(EventQuery(log, owner, ("web",)), ALICE)]
    bad = {"Names": Variant("as", ["web + MESSAGE_ID=1"])}
    error = await alice.error(ROOT, MANAGER, "OpenEvents", "a{sv}t", bad, 0)
    assert (error.name, len(house.registry.asked)) == (INVALID, 1)


async def test_restart_takes_a_time(house: House) -> None:
    alice = await house.client(ALICE)
    house.polkit.decide = lambda _: YES
    web = house.registry.add("web", ALICE)
    await alice.container("web", "Restart", "a{sv}t", {"TimeoutUSec": Variant("t", 5)}, 0)
    await alice.container("web", "Restart", "a{sv}t", {}, 0)
    assert web.done == [("restart", 5), ("restart", None)]
    assert house.polkit.asked[-1].details["verb"] == "restart"
