# SPDX-License-Identifier: GPL-3.0-or-later
"""Can: what a caller is told in advance is what the call then does, and tells nobody more than the call would."""

from __future__ import annotations

import os
from typing import Any

import pytest

from bus.house import ALICE, BOB, CONTAINER, CONTRACT, MANAGER, ROOT_UID, Client, House
from bus.permissions import TABLE
from bus.polkit import CHALLENGE, NO, YES
from mctld.bus.ability import CAN, MAKING, PRIVILEGED, STATES, hindrance
from mctld.bus.contract import Contract
from mctld.bus.paths import ROOT, container_path
from mctld.state import State

DENIED = "org.freedesktop.DBus.Error.AccessDenied"
INTERACTIVE = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
METHODS = [name for name in Contract(CONTRACT)[CONTAINER].methods if name != CAN]


async def can(client: Client, name: str, *methods: str, interactive: bool = False) -> dict[str, list[str]]:
    (found,) = await client.container(name, CAN, "as", list(methods), interactive=interactive)
    return {method: list(answer) for method, answer in found.items()}


async def tried(client: Client, name: str, method: str) -> str:
    """The name of the error of the call itself, empty where it was answered."""
    _, (signature, *body) = TABLE[f"{CONTAINER}.{method}"]
    fds = [os.memfd_create("output")] if "h" in signature else []
    try:
        await client.container(name, method, signature, *body, fds=fds)
    except Exception as error:
        return getattr(error, "name", repr(error))
    finally:
        for fd in fds:
            os.close(fd)
    return ""


@pytest.mark.parametrize("verdict", [YES, NO, CHALLENGE])
@pytest.mark.parametrize("owner", [ALICE, BOB])
async def test_it_agrees_with_the_call(house: House, verdict: tuple[bool, bool], owner: int) -> None:
    house.polkit.decide = lambda _: verdict
    alice = await house.client(ALICE)
    for method in METHODS:
        house.registry.add("web", owner)
        (answer, _, why) = (await can(alice, "web", method))[method]
        assert why
        error = await tried(alice, "web", method)
        if answer in ("no", "challenge"):
            assert error == {"no": DENIED, "challenge": INTERACTIVE}[answer], method
        else:
            assert verdict == YES, method
            assert error not in (DENIED, INTERACTIVE), method
        house.registry.containers.clear()


@pytest.mark.parametrize("verdict", [NO, CHALLENGE])
async def test_another_users_container_and_none_at_all_look_the_same(house: House, verdict: tuple[bool, bool]) -> None:
    bob = await house.client(BOB)
    house.polkit.decide = lambda _: verdict
    missing = await can(bob, "web", interactive=True)
    web = house.registry.add("web", ALICE, labels=(("team", "secret"),))
    web.state = State.RUNNING
    assert await can(bob, "web", interactive=True) == missing
    assert set(missing) == set(METHODS)
    assert not any(asked.interactive for asked in house.polkit.asked)


async def test_who_is_authorized_learns_that_there_is_none(house: House) -> None:
    house.polkit.decide = lambda _: YES
    for uid in (ROOT_UID, BOB):
        error = await (await house.client(uid)).error(container_path("web"), CONTAINER, CAN, "as", ["Stop"])
        assert error.name == "org.freedesktop.DBus.Error.UnknownObject"


async def test_a_rule_by_label_and_verb_is_heard(house: House) -> None:
    bob = await house.client(BOB)
    house.registry.add("web", ALICE, labels=(("team", "web"),)).state = State.RUNNING
    allowed = {"labels.team": "web", "verb": "stop"}
    house.polkit.decide = lambda asked: YES if allowed.items() <= asked.details.items() else NO
    found = await can(bob, "web")
    assert {method for method, (answer, _, _) in found.items() if answer != "no"} == {"Stop"}
    assert found["Stop"] == ["yes", "org.mctl1.manage", "polkit allows it (org.mctl1.manage)"]
    assert found["Start"][2] == (
        "there is no container 'web' of yours, and managing other users' containers needs authorization"
        " (org.mctl1.manage)"
    )


async def test_the_verb_is_that_of_the_call(house: House) -> None:
    """Else a rule would judge Can by another verb than the call."""
    alice = await house.client(ALICE)
    house.polkit.decide = lambda _: YES
    for method in METHODS:
        house.registry.add("web", ALICE)
        asked = []
        for ask in (can(alice, "web", method), tried(alice, "web", method)):
            house.polkit.asked.clear()
            await ask
            asked.append([(a.action, a.details["verb"]) for a in house.polkit.asked])
        assert asked[0], method
        assert asked[0] == asked[1], method
        house.registry.containers.clear()


async def test_the_state_decides_for_who_may(house: House) -> None:
    alice = await house.client(ALICE)
    house.polkit.decide = lambda _: YES
    web = house.registry.add("web", ALICE)
    web.state = State.PAUSED
    found = await can(alice, "web", "Freeze", "Thaw", "Exec", "Remove", "Resize")
    assert {method: answer for method, (answer, _, _) in found.items()} == {
        "Freeze": "na", "Thaw": "yes", "Exec": "na", "Remove": "na", "Resize": "na",
    }  # fmt: skip
    assert found["Freeze"][2] == "container 'web' is paused: it must be running"
    assert found["Remove"][2].endswith("; the flag force removes it all the same")
    assert found["Resize"][2] == "container 'web' has no terminal"
    house.polkit.decide = lambda _: NO
    assert {answer for answer, _, _ in (await can(alice, "web")).values()} == {"no"}


async def test_what_it_takes_to_execute_in_a_privileged_one_of_ones_own(house: House) -> None:
    alice = await house.client(ALICE)
    house.polkit.decide = lambda asked: YES if asked.action == "org.mctl1.exec-own" else CHALLENGE
    house.registry.add("web", ALICE).state = State.RUNNING
    assert (await can(alice, "web", "Exec"))["Exec"][0] == "yes"
    house.registry.add("strong", ALICE, owner=None).state = State.RUNNING
    assert (await can(alice, "strong", "Exec"))["Exec"][0] == "challenge"


@pytest.mark.parametrize("state", State)
async def test_every_state_has_a_sentence(house: House, state: State) -> None:
    web = house.registry.add("web", ALICE)
    web.state = state
    for method in METHODS:
        told: str = hindrance(web, method)
        assert bool(told) == (state not in STATES.get(method, State) or method == "Resize"), method


@pytest.mark.parametrize("method", ["Can", "stop", "", "Nothing\n", "x" * 1000])
async def test_unknown_methods_are_named(house: House, method: str) -> None:
    house.registry.add("web", ALICE)
    alice = await house.client(ALICE)
    for path, interface in ((container_path("web"), CONTAINER), (ROOT, MANAGER)):
        error = await alice.error(path, interface, CAN, "as", [method])
        assert error.name == "org.freedesktop.DBus.Error.InvalidArgs"
        assert "known are " in error.text
        assert "\n" not in error.text


async def test_what_may_be_made(house: House) -> None:
    alice = await house.client(ALICE)
    verdicts: dict[str, Any] = {"org.mctl1.create": YES, "org.mctl1.create-privileged": CHALLENGE}
    house.polkit.decide = lambda asked: verdicts.get(asked.action, NO)
    (found,) = await alice.manager(CAN, "as", [])
    assert set(found) == {*MAKING, PRIVILEGED}
    answers = {name: answer for name, (answer, _, _) in found.items()}
    assert answers["CreateContainer"] == answers["RunContainer"] == answers["CreateVolume"] == "yes"
    assert answers[PRIVILEGED] == "challenge"
    assert answers["PullImage"] == answers["CreateNetwork"] == "no"
    root = await house.client(ROOT_UID)
    (found,) = await root.manager(CAN, "as", [PRIVILEGED])
    assert found == {PRIVILEGED: ["yes", "", "root may do everything"]}
