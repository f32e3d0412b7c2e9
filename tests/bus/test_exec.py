# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands executed in containers, as the bus offers them."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest
from dbus_next.signature import Variant

from bus.house import ALICE, BOB, CONTAINER, PROPERTIES, ROOT_UID, House
from bus.polkit import CHALLENGE, NO, YES
from mctld.bus.paths import ROOT, container_path, exec_path
from mctld.lifecycle.events import Exit
from mctld.security import Security
from mctld.spec import User

if TYPE_CHECKING:
    from bus.house import Client
    from mctld.bus.codec import Message

EXEC = "org.mctl1.Exec"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"
CAROL = 1002


async def execute(
    client: Client, *command: str, name: str = "web", flags: int = 0, fds: tuple[int, ...] = (), **options: Variant
) -> Message:
    path = container_path(name)
    return await client.exchange(path, CONTAINER, "Exec", "asa{sv}t", list(command), options, flags, fds=fds)


async def refused(client: Client, *command: str, flags: int = 0, interactive: bool = False, **options: Variant) -> Any:
    path = container_path("web")
    body = (list(command), options, flags)
    return await client.error(path, CONTAINER, "Exec", "asa{sv}t", *body, interactive=interactive)


async def test_what_is_asked_is_what_is_executed(house: House) -> None:
    alice = await house.client(ALICE)
    house.registry.add("web", ALICE)
    house.polkit.decide = lambda _: YES
    reader, writer = os.pipe()
    os.write(writer, b"typed")
    os.close(writer)
    options = {
        "User": Variant("s", "7:8"), "WorkingDirectory": Variant("s", "/srv"),
        "Environment": Variant("as", ["A=b=c"]), "Stdin": Variant("h", 0),
    }  # fmt: skip
    reply = await execute(alice, "sh", "-c", "x y", flags=1, fds=(reader,), **options)
    os.close(reader)
    path, streams = reply.body()
    assert (path, len(streams), len(reply.fds)) == (exec_path("e1"), 2, 2)
    reply.fds.close()
    ((execution, by_uid, stdin, attach),) = house.registry.execs.asked
    assert (execution.command, execution.user, execution.working_directory) == (
        ("sh", "-c", "x y"),
        User("7", "8"),
        "/srv",
    )
    assert (execution.environment, by_uid, stdin, attach) == (("A=b=c",), ALICE, b"typed", True)


async def test_detached_there_are_no_streams(house: House) -> None:
    root = await house.client(ROOT_UID)
    house.registry.add("web", ALICE)
    reply = await execute(root, "true")
    assert reply.body()[1] == []
    ((execution, by_uid, stdin, attach),) = house.registry.execs.asked
    assert (execution.user, execution.working_directory, by_uid, stdin, attach) == (None, None, ROOT_UID, None, False)


@pytest.mark.parametrize(
    ("command", "options", "flags", "words"),
    [
        ((), {}, 0, "Command is empty"),
        (("",), {}, 0, "Command is empty"),
        (("true",), {}, 2, "flags 0x2 are not known; known are 1 (attach)"),
        (("true",), {"Usr": Variant("s", "0")}, 0, "option 'Usr' is not known"),
        (("true",), {"User": Variant("s", "ro ot")}, 0, "User 'ro ot' is not USER"),
        (("true",), {"User": Variant("u", 0)}, 0, "option User must be a string"),
        (("true",), {"WorkingDirectory": Variant("s", "srv")}, 0, "not an absolute path"),
        (("true",), {"Environment": Variant("as", ["=x"])}, 0, "is not NAME=VALUE"),
        (("true",), {"Stdin": Variant("h", 0)}, 0, "did not come with the message"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("exists", [False, True])
async def test_nonsense_is_refused_alike_whether_there_is_such_a_container(
    house: House, command: tuple[str, ...], options: dict[str, Variant], flags: int, words: str, *, exists: bool
) -> None:
    bob = await house.client(BOB)
    if exists:
        house.registry.add("web", ALICE, environment=tuple(f"A{n}=" for n in range(1024)))
    error = await refused(bob, *command, flags=flags, **options)
    assert error.name == "org.freedesktop.DBus.Error.InvalidArgs"
    assert words in error.text
    assert house.polkit.asked == []


async def test_a_terminal_does_not_go_in(house: House) -> None:
    root = await house.client(ROOT_UID)
    house.registry.add("web", ALICE)
    ours, theirs = os.openpty()
    error = await root.error(
        container_path("web"), CONTAINER, "Exec", "asa{sv}t", ["sh"], {"Stdin": Variant("h", 0)}, 0, fds=[theirs]
    )
    os.close(ours)
    os.close(theirs)
    assert "Stdin is a terminal" in error.text


async def test_rules_judge_by_command_and_user(house: House) -> None:
    alice = await house.client(ALICE)
    house.registry.add("web", ALICE, labels=(("team", "web"),))
    house.polkit.decide = lambda _: YES
    await execute(alice, "cat", "a b", User=Variant("s", "5"))
    (asked,) = house.polkit.asked
    assert asked.action == "org.mctl1.exec-own"
    said = {"container": "web", "verb": "exec", "command": "cat 'a b'", "user": "5", "owner": "1000"}
    assert said.items() <= asked.details.items()
    assert asked.details["labels.team"] == "web"
    message = "Authentication is required to execute $(command) in the container $(container) of user $(owner)."
    assert asked.details["polkit.message"] == message


async def test_ones_own_privileged_container_takes_more(house: House) -> None:
    """It was allowed once, for its own command: that is no right to execute others with its privileges."""
    alice = await house.client(ALICE)
    house.registry.add("web", ALICE, owner=None)
    house.polkit.decide = lambda asked: YES if asked.action == "org.mctl1.exec-own" else NO
    assert (await refused(alice, "cat", "/etc/shadow")).name == "org.freedesktop.DBus.Error.AccessDenied"
    assert [a.action for a in house.polkit.asked] == ["org.mctl1.exec"]
    assert not house.registry.execs.asked


async def test_into_the_hosts_user_ids_only_root_goes(house: House) -> None:
    """As machined: there, root inside is root outside."""
    alice, root = await house.client(ALICE), await house.client(ROOT_UID)
    house.registry.add("web", ALICE, security=Security(user_namespace="host"))
    house.polkit.decide = lambda _: YES
    error = await refused(alice, "true")
    assert (error.name, "only root" in error.text) == ("org.freedesktop.DBus.Error.AccessDenied", True)
    assert not house.registry.execs.asked
    await execute(root, "true")


async def test_who_is_asked_for_a_password_sees_the_command_and_nothing_unsaid(house: House) -> None:
    bob = await house.client(BOB)
    house.registry.add("web", ALICE, labels=(("team", "secret"),))
    house.polkit.decide = lambda asked: YES if asked.interactive else CHALLENGE
    await bob.call(container_path("web"), CONTAINER, "Exec", "asa{sv}t", ["rm", "-r", "/"], {}, 0, interactive=True)
    prompt = house.polkit.asked[-1]
    assert prompt.details == {
        "container": "web", "verb": "exec", "command": "rm -r /", "polkit.gettext_domain": "mctl",
        "polkit.message": "Authentication is required to execute $(command) in the container $(container), "
        "which is not yours.",
    }  # fmt: skip


async def test_it_belongs_to_the_owner_and_to_the_one_who_asked(house: House) -> None:
    house.registry.add("web", ALICE)
    made = house.registry.execs.add("e", "web", ALICE, BOB)
    house.polkit.decide = lambda asked: YES if asked.action.endswith("-own") else NO
    for uid, theirs in ((ALICE, True), (BOB, True), (CAROL, False), (ROOT_UID, True)):
        client = await house.client(uid)
        managed = (await client.call(ROOT, OBJECT_MANAGER, "GetManagedObjects"))[0]
        assert (exec_path("e") in managed) == theirs
        (nodes,) = await client.call(f"{ROOT}/exec", "org.freedesktop.DBus.Introspectable", "Introspect")
        assert ('<node name="e"/>' in nodes) == theirs
        if theirs:
            await client.call(exec_path("e"), EXEC, "Kill", "it", 15, 0)
        else:
            error = await client.error(exec_path("e"), EXEC, "Kill", "it", 15, 0)
            missing = await client.error(exec_path("f"), EXEC, "Kill", "it", 15, 0)
            assert error.text == missing.text.replace("'f'", "'e'")
    assert made.signals == [15, 15, 15]


async def test_rules_judge_others_execs_by_their_container(house: House) -> None:
    bob = await house.client(BOB)
    house.registry.execs.add("e", "web", ALICE, ALICE, "cat", "secret")
    house.polkit.decide = lambda asked: YES if asked.details.get("container") == "web" else NO
    await bob.call(exec_path("e"), EXEC, "Kill", "it", 9, 0)
    (asked,) = house.polkit.asked
    assert asked.action == "org.mctl1.manage"
    assert {"exec": "e", "verb": "kill", "command": "cat secret", "owner": "1000"}.items() <= asked.details.items()


async def test_wait_answers_at_the_end_and_after_it(house: House) -> None:
    root = await house.client(ROOT_UID)
    made = house.registry.execs.add("e", "web", ALICE, ALICE)
    waiting = asyncio.create_task(root.call(exec_path("e"), EXEC, "Wait"))
    await root.settled()
    assert not waiting.done()
    house.registry.execs.finish(made, Exit("killed", 9))
    assert await waiting == ["killed", 9]
    assert await root.call(exec_path("e"), EXEC, "Wait") == ["killed", 9]
    house.registry.execs.drop(made)
    error = await root.error(exec_path("e"), EXEC, "Wait")
    assert error.name == "org.freedesktop.DBus.Error.UnknownObject"


async def test_signals_tell_of_its_life_to_those_it_belongs_to(house: House) -> None:
    clients = {uid: await house.client(uid) for uid in (ALICE, BOB, CAROL)}
    house.polkit.decide = lambda asked: YES if asked.action.endswith("-own") else NO
    for client in clients.values():
        await client.manager("Subscribe")
    made = house.registry.execs.add("e", "web", ALICE, BOB, "sleep", "1")
    house.registry.execs.finish(made, Exit("exited", 3))
    house.registry.execs.drop(made)
    for uid, client in clients.items():
        await client.settled()
        if uid == CAROL:
            assert client.signals == []
            continue
        (added, _, first), (changed, path, second), (removed, _, third) = client.signals
        assert (added, changed, removed) == ("InterfacesAdded", "PropertiesChanged", "InterfacesRemoved")
        assert {k: v.value for k, v in first[1][EXEC].items()} == {
            "Id": "e", "Container": container_path("web"), "Command": ["sleep", "1"], "User": "0:0", "PID": 77,
            "State": "running", "ExitHow": "", "ExitStatus": 0,
        }  # fmt: skip
        assert path == exec_path("e")
        values = {k: v.value for k, v in second[1].items()}
        assert values == {"State": "exited", "PID": 0, "ExitHow": "exited", "ExitStatus": 3}
        assert third == [exec_path("e"), [EXEC]]


async def test_a_proxy_hears_of_changes(house: House) -> None:
    root = await house.client(ROOT_UID)
    made = house.registry.execs.add("e", "web", ALICE, ALICE)
    (found,) = await root.call(exec_path("e"), PROPERTIES, "GetAll", "s", EXEC)
    assert found["State"].value == "running"
    house.registry.execs.finish(made, Exit("exited", 0))
    await root.settled()
    assert [name for name, _, _ in root.signals] == ["PropertiesChanged"]
