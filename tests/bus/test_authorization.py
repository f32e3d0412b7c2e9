# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may call what: a table with a row for every member of the contract, played over the bus."""

from __future__ import annotations

import asyncio
import os
import tempfile
from typing import TYPE_CHECKING, Any

import pytest
from dbus_next.signature import Variant

from bus.house import ALICE, BOB, CONTAINER, CONTRACT, MANAGER, ROOT_UID, Client, House
from bus.permissions import (
    CONCEALING,
    EXEC_OBJECT,
    FORETELLING,
    IMAGE,
    INTROSPECTABLE,
    JOB,
    LOG_CONTROL,
    NETWORK,
    NEVER_ALLOWED,
    OBJECT_MANAGER,
    OPTIONS,
    TABLE,
    VOLUME,
)  # fmt: skip
from bus.polkit import CHALLENGE, NO, YES
from mctld.bus.contract import Contract, Property
from mctld.bus.logcontrol import PATH as LOG_CONTROL_PATH
from mctld.bus.paths import ROOT, container_path, exec_path, image_path, job_path, network_path, volume_path
from mctld.lifecycle.events import Exit

if TYPE_CHECKING:
    from pathlib import Path

DENIED = "org.freedesktop.DBus.Error.AccessDenied"
INTERACTIVE = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"

CONTRACT_MEMBERS = [member for i in Contract(CONTRACT).interfaces.values() for member in i.members]
METHODS = [str(m) for m in CONTRACT_MEMBERS if not isinstance(m, Property)]


def test_every_method_has_a_row() -> None:
    assert sorted([*TABLE, *NEVER_ALLOWED]) == sorted(METHODS)


async def play(client: Client, member: str, rootfs: int, *, interactive: bool = False, name: str = "web") -> str:
    """The name of the error, empty where the call was answered."""
    _, (signature, *body) = TABLE[member]
    interface, _, method = member.rpartition(".")
    path = path_of(interface, name)
    body = [name if part == "web" else part for part in body]
    archive = os.memfd_create("archive")
    fds = [rootfs] if "Rootfs" in str(body) else [archive] if "Archive" in str(body) or "h" in signature[:2] else []
    try:
        await client.call(path, interface, method, signature, *body, fds=fds, interactive=interactive)
    except Exception as error:
        return getattr(error, "name", repr(error))
    finally:
        os.close(archive)
    return ""


def path_of(interface: str, name: str) -> str:
    """All are called the same."""
    if interface in (MANAGER, OBJECT_MANAGER):
        return ROOT
    if interface == LOG_CONTROL:
        return LOG_CONTROL_PATH
    paths = {EXEC_OBJECT: exec_path, NETWORK: network_path, IMAGE: image_path, JOB: job_path, VOLUME: volume_path}
    return paths.get(interface, container_path)(name)


def rootfs_of(owner: int, directory: Path) -> int:
    if os.geteuid() == 0:
        os.chown(directory, owner, owner)
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY)


@pytest.mark.skipif(os.geteuid() != 0, reason="playing several owners of a directory takes chown")
@pytest.mark.parametrize("member", TABLE)
async def test_the_table(house: House, tmp_path: Path, member: str) -> None:
    """Each member for root, its owner and another user: polkit says no, there is no agent, the agent's person gives up
    or agrees, a rule says yes, and there is no polkit.
    """
    actions, _ = TABLE[member]
    house.registry.add("web", ALICE)
    house.registry.execs.add("web", "web", ALICE, ALICE).finish(Exit("exited", 0))
    house.registry.networks.add("web", ALICE)
    house.registry.images.add("web", ALICE)
    house.registry.transfers.add("web", ALICE)
    house.registry.volumes.add("web", ALICE)
    owner, other, root = [await house.client(uid) for uid in (ALICE, BOB, ROOT_UID)]
    rootfs = rootfs_of(ALICE, tmp_path)
    try:
        half = (len(actions) + 1) // 2
        for client, wanted in ((owner, actions[:half]), (other, actions[len(actions) - half :])):
            await check_row(house, client, member, rootfs, wanted)
        house.polkit.decide = lambda _: NO
        assert await answered(house, root, member, rootfs)
        await house.polkit.connection.release_name("org.freedesktop.PolicyKit1")
        assert await answered(house, root, member, rootfs)
        for client in (owner, other):
            refused = await play(client, member, rootfs, interactive=True)
            assert refused == (DENIED if actions else "")
    finally:
        os.close(rootfs)


async def check_row(house: House, client: Client, member: str, rootfs: int, actions: tuple[str, ...]) -> None:
    """Asked for exactly these actions, and every answer means what it should."""
    house.polkit.asked.clear()
    for verdict, interactive, error in (
        (NO, False, DENIED),
        (NO, True, DENIED),
        (CHALLENGE, False, INTERACTIVE),
        (CHALLENGE, True, DENIED),  # a person was asked and gave up
    ):
        house.polkit.decide = lambda _, verdict=verdict: verdict  # type: ignore[misc]
        expected = error if actions else ""
        assert await play(client, member, rootfs, interactive=interactive) == expected, (verdict, interactive)
    assert not [asked.details for asked in house.polkit.asked if asked.lacking]
    if member in FORETELLING:
        return  # tests/bus/test_ability.py
    assert {a.action for a in house.polkit.asked} <= set(actions)
    house.polkit.decide = lambda asked: YES if asked.interactive else CHALLENGE  # a person was asked and agreed
    assert await answered(house, client, member, rootfs, interactive=True)
    house.polkit.asked.clear()
    house.polkit.decide = lambda asked: YES if asked.action in actions else NO
    assert await answered(house, client, member, rootfs)
    assert all(a.sender == client.name for a in house.polkit.asked)
    assert {a.action for a in house.polkit.asked} - {"org.mctl1.inspect-all"} == set(actions) - {
        "org.mctl1.inspect-all"
    }


async def answered(house: House, client: Client, member: str, rootfs: int, *, interactive: bool = False) -> bool:
    """The call gets past authorization; then all is as before."""
    error = await play(client, member, rootfs, interactive=interactive)
    if "new" in house.registry.containers:
        house.registry.forget(house.registry.containers["new"])
    house.registry.gone.clear()
    house.registry.containers.clear()
    house.registry.add("web", ALICE)
    house.registry.networks.found.clear()
    house.registry.networks.add("web", ALICE)
    house.registry.images.images.clear()
    house.registry.images.add("web", ALICE)
    house.registry.transfers.add("web", ALICE)
    house.registry.volumes.add("web", ALICE)
    images = ("GetImage", "PushImage", "DeriveImage", "SaveImages")
    concealed = dict.fromkeys(images, "NoSuchImage") | {"GetVolume": "NoSuchVolume"}
    not_there = f"org.mctl1.Error.{concealed.get(member.rpartition('.')[2])}"  # what is somebody else's alone
    return error in ("", "org.mctl1.Error.NotRunning", not_there)


@pytest.mark.parametrize("verdict", [NO, CHALLENGE])
@pytest.mark.parametrize("interactive", [False, True])
@pytest.mark.parametrize("member", [m for m in TABLE if TABLE[m][0] in CONCEALING])
async def test_another_users_container_and_none_at_all_look_the_same(
    house: House, member: str, verdict: tuple[bool, bool], *, interactive: bool
) -> None:
    """Neither the answer nor the prompt may tell whether it exists (CVE-2016-6349)."""
    bob = await house.client(BOB)
    house.polkit.decide = lambda _: verdict
    interface, _, method = member.rpartition(".")
    answers, prompts = [], []
    for exists in (False, True):
        if exists:
            house.registry.add("web", ALICE, labels=(("team", "secret"),))
            house.registry.execs.add("web", "web", ALICE, ALICE, "secret")
            house.registry.images.add("web", ALICE, Labels={"team": "secret"})
            house.registry.transfers.add("web", ALICE, "pull", "example.org/secret:1")
            house.registry.volumes.add("web", ALICE, (("team", "secret"),))
        house.polkit.asked.clear()
        _, (signature, *body) = TABLE[member]
        path = path_of(interface, "web")
        with tempfile.TemporaryFile() as file:
            fds = [file.fileno()] if "h" in signature else []
            error = await bob.error(path, interface, method, signature, *body, fds=fds, interactive=interactive)
        answers.append((error.name, error.text))
        prompts.append([(a.action, a.details) for a in house.polkit.asked if a.interactive])
    assert answers[0] == answers[1]
    nouns = {"Image": "image", "Volume": "volume", ".Job.": "job", EXEC_OBJECT: "exec"}
    noun = next((noun for part, noun in nouns.items() if part in member), "container")
    assert answers[0][1].startswith(f"there is no {noun} 'web' of yours, and ")
    assert prompts[0] == prompts[1]
    assert bool(prompts[0]) == (interactive and verdict is CHALLENGE)


async def test_who_is_authorized_learns_that_there_is_none(house: House) -> None:
    bob = await house.client(BOB)
    house.polkit.decide = lambda _: YES
    error = await bob.error(container_path("web"), CONTAINER, "Start", "t", 0)
    assert error.name == "org.freedesktop.DBus.Error.UnknownObject"
    error = await bob.error(container_path("web"), INTROSPECTABLE, "Introspect")
    assert error.name == "org.freedesktop.DBus.Error.UnknownObject"
    error = await bob.error(ROOT, MANAGER, "WaitContainer", "s", "web")
    assert error.name == "org.mctl1.Error.NoSuchContainer"


async def test_what_has_departed_is_its_owners(house: House) -> None:
    alice, bob = await house.client(ALICE), await house.client(BOB)
    house.polkit.decide = lambda asked: YES if asked.action.endswith("-own") else NO
    gone = house.registry.add("web", ALICE)
    gone.end = Exit("exited", 7)
    house.registry.forget(gone)
    assert await alice.manager("WaitContainer", "s", "web") == ["exited", 7]
    departed = await bob.error(ROOT, MANAGER, "WaitContainer", "s", "web")
    house.registry.gone.clear()
    assert (await bob.error(ROOT, MANAGER, "WaitContainer", "s", "web")).text == departed.text


async def test_an_id_that_others_make_ambiguous_finds_ones_own(house: House) -> None:
    alice, bob = await house.client(ALICE), await house.client(BOB)
    house.polkit.decide = lambda asked: YES if asked.action.endswith("-own") else NO
    for owner in (ALICE, BOB):
        house.registry.add(f"of-{owner}", owner).id = "abcd" + str(owner) * 7
    assert await alice.manager("GetContainer", "s", "abcd") == [container_path("of-1000")]
    assert await bob.manager("GetContainer", "s", "abcd") == [container_path("of-1001")]
    root = await house.client(ROOT_UID)
    assert "ambiguous" in (await root.error(ROOT, MANAGER, "GetContainer", "s", "abcd")).text


async def test_details_of_an_own_container(house: House) -> None:
    alice = await house.client(ALICE)
    house.registry.add("web", ALICE, labels=(("team", "web"), ("long", "x" * 300)))
    house.polkit.decide = lambda _: YES
    await alice.container("web", "Start", "t", 0, interactive=True)
    (asked,) = house.polkit.asked
    assert asked.interactive
    assert asked.details == {
        "container": "web",
        "verb": "start",
        "id": house.registry.containers["web"].id,
        "owner": "1000",
        "image": "/srv/rootfs",
        "command": "/bin/true",
        "user": "0",
        "privileged": "no",
        "network": "bridge",
        "labels.team": "web",
        "labels.long": "x" * 300,  # a rule that judged by a beginning could be led astray by padding
        "polkit.message": "Authentication is required to start the container $(container) of user $(owner).",
        "polkit.gettext_domain": "mctl",
    }


async def test_rules_can_judge_others_containers_by_label(house: House) -> None:
    bob = await house.client(BOB)
    house.registry.add("web", ALICE, labels=(("team", "web"),))
    house.registry.add("db", ALICE)
    house.polkit.decide = lambda asked: YES if asked.details.get("labels.team") == "web" else CHALLENGE
    await bob.container("web", "Start", "t", 0)
    assert (await bob.error(container_path("db"), CONTAINER, "Start", "t", 0)).name == INTERACTIVE


async def test_a_rule_that_cannot_see_a_label_grants_nothing(house: House) -> None:
    """"Yes, unless it is production" is asked twice, the second time without labels: that yes must not count."""
    bob = await house.client(BOB)
    web = house.registry.add("web", ALICE, labels=(("env", "production"),))
    house.polkit.decide = lambda asked: CHALLENGE if asked.details.get("labels.env") == "production" else YES
    error = await bob.error(container_path("web"), CONTAINER, "Stop", "a{sv}t", {}, 0, interactive=True)
    assert error.name == DENIED
    assert not web.done


async def test_create_details_and_privilege(house: House, tmp_path: Path) -> None:
    bob = await house.client(BOB)
    rootfs = rootfs_of(ALICE, tmp_path)
    options = {**OPTIONS, "Command": Variant("as", ["/bin/echo", "\x1b[31mred\n$(id)"])}
    house.polkit.decide = lambda _: YES
    await bob.manager("CreateContainer", "sa{sv}t", "mine", options, 0, fds=[rootfs])
    os.close(rootfs)
    (asked,) = house.polkit.asked
    assert asked.action == "org.mctl1.create-privileged"
    assert asked.details["privileged"] == "yes"
    assert asked.details["image"] == str(tmp_path)
    assert asked.details["command"] == "/bin/echo '\ufffd[31mred\ufffd$(id)'"
    assert asked.details["dangers"] == f"files of other users in {tmp_path}"
    assert "$(dangers)" in asked.details["polkit.message"]
    assert house.registry.containers["mine"].spec.rootfs.owner is None


@pytest.mark.skipif(os.geteuid() != 0, reason="playing several owners of a directory takes chown")
async def test_ones_own_directory_needs_no_privilege(house: House, tmp_path: Path) -> None:
    bob = await house.client(BOB)
    rootfs = rootfs_of(BOB, tmp_path)
    house.polkit.decide = lambda asked: YES if asked.action == "org.mctl1.create" else NO
    await bob.manager("CreateContainer", "sa{sv}t", "mine", OPTIONS, 0, fds=[rootfs])
    os.close(rootfs)
    made = house.registry.containers["mine"]
    assert made.owner_uid == BOB
    assert made.spec.rootfs.owner == (BOB, BOB)


async def test_an_object_replaced_during_the_prompt_is_refused(house: House) -> None:
    alice = await house.client(ALICE)
    first = house.registry.add("web", ALICE)
    house.polkit.decide = lambda _: None
    starting = asyncio.create_task(alice.error(container_path("web"), CONTAINER, "Start", "t", 0))
    await house.polkit.prompt()
    house.registry.forget(first)
    second = house.registry.add("web", BOB)
    house.polkit.answer(YES)
    error = await starting
    assert error.name == "org.freedesktop.DBus.Error.UnknownObject"
    assert "ask again" in error.text
    assert not first.done
    assert not second.done


async def test_a_prompt_ends_with_its_caller(house: House) -> None:
    alice, bob = await house.client(ALICE), await house.client(BOB)
    web = house.registry.add("web", ALICE)
    house.polkit.decide = lambda asked: None if asked.sender == alice.name else YES
    starting = asyncio.create_task(alice.container("web", "Start", "t", 0, interactive=True))
    await house.polkit.prompt()
    await bob.manager("Subscribe")  # others do not wait for the prompt
    await house.leave(alice)
    while not house.polkit.cancelled:
        await house.polkit.news()
    assert house.polkit.cancelled == [house.polkit.asked[0].cancellation]
    assert not house.polkit.woken
    house.polkit.answer(YES)  # too late
    await bob.manager("Subscribe")
    assert not web.done
    with pytest.raises(Exception, match="closed by us"):
        await starting


@pytest.mark.parametrize("answer", ["error", "garbage"])
async def test_anything_but_a_clear_yes_is_a_no(house: House, answer: str) -> None:
    alice = await house.client(ALICE)
    house.registry.add("web", ALICE)

    def respond(message: Any) -> None:
        message.fds.close()
        if answer == "error":
            house.polkit.connection.error(message.header, "org.freedesktop.PolicyKit1.Error.Failed", "no such user")
        else:
            house.polkit.connection.reply(message.header, "(bbs)", [[True, False, "?"]])

    house.polkit.connection.on_call = respond
    error = await alice.error(container_path("web"), CONTAINER, "Start", "t", 0)
    assert error.name == DENIED
    assert error.text.startswith("polkit does not answer, so only root may do this")


async def test_a_mute_polkit_is_a_no(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mctld.bus.authority.ANSWER_SECONDS", 0.05)
    alice = await house.client(ALICE)
    house.registry.add("web", ALICE)
    house.polkit.decide = lambda _: None
    assert (await alice.error(container_path("web"), CONTAINER, "Start", "t", 0)).name == DENIED
    while not house.polkit.cancelled:
        await house.polkit.news()


async def test_lists_hold_what_the_caller_may_see(house: House) -> None:
    alice = await house.client(ALICE)
    house.registry.add("mine", ALICE)
    house.registry.add("other", BOB)

    async def seen() -> tuple[set[str], set[str], bool]:
        (listed,) = await alice.manager("ListContainers", "a{sv}t", {}, 0, interactive=True)
        (managed,) = await alice.call(ROOT, OBJECT_MANAGER, "GetManagedObjects")
        (nodes,) = await alice.call("/org/mctl1/container", INTROSPECTABLE, "Introspect")
        return {c["Name"].value for c in listed}, set(managed), 'name="other"' in nodes

    house.polkit.decide = lambda asked: YES if asked.action == "org.mctl1.inspect-own" else CHALLENGE
    assert await seen() == ({"mine"}, {"/org/mctl1/container/mine"}, False)
    assert not [a for a in house.polkit.asked if a.action == "org.mctl1.inspect-all" and a.interactive]
    house.polkit.decide = lambda _: YES
    assert await seen() == ({"mine", "other"}, {"/org/mctl1/container/mine", "/org/mctl1/container/other"}, True)
