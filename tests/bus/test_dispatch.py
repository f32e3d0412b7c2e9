# SPDX-License-Identifier: GPL-3.0-or-later
"""The road from a message to a reply, where it is left early."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import TYPE_CHECKING, Any

import pytest
from dbus_next.signature import Variant

from bus.house import ALICE, BOB, CONTAINER, MANAGER, PROPERTIES, Client, House
from bus.polkit import CHALLENGE, NO, YES
from mctld.bus.bounds import BYTES_MAX, CALLS_MAX
from mctld.bus.connection import RemoteError
from mctld.bus.manager import Manager
from mctld.bus.paths import ROOT, container_path
from mctld.bus.wire import ASKED_MAX
from mctld.errors import CommandNotFound
from mctld.state import State

if TYPE_CHECKING:
    from pathlib import Path

    from bus.simulation import SimulatedContainer

FREEDESKTOP = "org.freedesktop.DBus.Error"
WEB = container_path("web")
PEER = "org.freedesktop.DBus.Peer"


@pytest.mark.parametrize(
    ("path", "interface", "member", "signature", "body", "error", "words"),
    [
        (ROOT, MANAGER, "Nonsense", "", [], "UnknownMethod", "org.mctl1.Manager.Nonsense"),
        (ROOT, "", "Nonsense", "", [], "UnknownMethod", "Nonsense"),
        (ROOT, "org.example.X", "Y", "", [], "UnknownInterface", "org.example.X"),
        (ROOT, CONTAINER, "Start", "t", [0], "UnknownInterface", CONTAINER),
        (WEB, CONTAINER, "Start", "u", [0], "InvalidArgs", "takes the signature 't', but 'u' was given"),
        (WEB, CONTAINER, "Start", "", [], "InvalidArgs", "takes the signature 't', but ''"),
        (WEB, CONTAINER, "Start", "t", [6], "InvalidArgs", "flags 0x6 are not known"),
        (WEB, CONTAINER, "Kill", "it", [9, 3], "InvalidArgs", "flags 0x2 are not known; known are 1 (all its"),
        (WEB, CONTAINER, "Kill", "it", [65, 0], "InvalidArgs", "signal 65 is out of range"),
        (WEB, CONTAINER, "Remove", "t", [4], "InvalidArgs", "1 (kill it first"),
        (WEB, CONTAINER, "Stop", "a{sv}t", [{"Timeout": Variant("t", 1)}, 0], "InvalidArgs", "TimeoutUSec"),
        (WEB, CONTAINER, "Stop", "a{sv}t", [{"TimeoutUSec": Variant("i", 1)}, 0], "InvalidArgs", "type t"),
        (
            WEB,
            CONTAINER,
            "OpenLog",
            "a{sv}t",
            [{"Output": Variant("s", "cat -A")}, 0],
            "InvalidArgs",
            "short-iso-precise",
        ),
        (ROOT, MANAGER, "ListContainers", "a{sv}t", [{"States": Variant("as", ["up"])}, 0], "InvalidArgs", "'up'"),
        (ROOT, MANAGER, "ListContainers", "a{sv}t", [{}, 1], "InvalidArgs", "flags 0x1"),
        (WEB, PROPERTIES, "Get", "ss", [CONTAINER, "Colour"], "UnknownProperty", "Colour"),
        (WEB, PROPERTIES, "Get", "ss", [MANAGER, "Version"], "UnknownInterface", MANAGER),
        (WEB, PROPERTIES, "GetAll", "s", ["org.example.X"], "UnknownInterface", "org.example.X"),
        (WEB, PROPERTIES, "Set", "ssv", [CONTAINER, "State", Variant("s", "x")], "PropertyReadOnly", "State"),
        (WEB, PROPERTIES, "Set", "ssv", [CONTAINER, "Nope", Variant("s", "x")], "UnknownProperty", "Nope"),
        ("/org/mctl1/container/nope", CONTAINER, "Start", "t", [0], "UnknownObject", "nope"),
        ("/org/mctl1/container/_77eb", CONTAINER, "Start", "t", [0], "UnknownObject", "_77eb"),
        ("/org/mctl1/picture/x", MANAGER, "Subscribe", "", [], "UnknownInterface", MANAGER),
        ("/org/mctl1/picture/x", PROPERTIES, "GetAll", "s", [""], "UnknownObject", "/org/mctl1/picture/x"),
    ],
)
async def test_errors_of_root(
    house: House,
    client: Client,
    path: str,
    interface: str,
    member: str,
    signature: str,
    body: list[Any],
    error: str,
    words: str,
) -> None:
    web = house.registry.add("web", ALICE)
    refused = await client.error(path, interface, member, signature, *body)
    assert refused.name == f"{FREEDESKTOP}.{error}"
    assert words in refused.text
    assert not web.done


async def test_the_interface_may_be_left_out(client: Client, house: House) -> None:
    house.registry.add("web", ALICE)
    await client.call(WEB, "", "Start", "t", 0)
    (value,) = await client.call(WEB, PROPERTIES, "Get", "ss", "", "State")
    assert value.value == "running"


async def test_typed_errors_keep_their_name_and_sentence(
    client: Client, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    web = house.registry.add("web", ALICE)

    async def fail() -> None:
        raise CommandNotFound("no '/bin/zsh' in there\0\udcff")

    monkeypatch.setattr(web, "start", fail)
    refused = await client.error(WEB, CONTAINER, "Start", "t", 0)
    assert (refused.name, refused.text) == ("org.mctl1.Error.CommandNotFound", "no '/bin/zsh' in there?")


async def test_a_bug_is_told_to_the_log_and_not_to_the_client(
    client: Client, house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    web = house.registry.add("web", ALICE)

    async def fail() -> None:
        raise RuntimeError("secret of /root")

    monkeypatch.setattr(web, "start", fail)
    refused = await client.error(WEB, CONTAINER, "Start", "t", 0)
    assert refused.name == "org.mctl1.Error.Failed"
    assert "secret" not in refused.text
    assert "Traceback" not in refused.text
    incident = refused.text.split()[2].rstrip(":")
    assert f"internal error {incident}" in caplog.text
    assert "secret of /root" in caplog.text
    caplog.clear()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "Too many open files"),
        (MemoryError(), "Cannot allocate memory"),
        (RuntimeError("can't start new thread"), "no thread can be started"),  # CPython's own words
    ],
)
async def test_what_the_service_has_run_out_of_is_named(
    client: Client, house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    error: Exception, words: str,
) -> None:  # fmt: skip
    web = house.registry.add("web", ALICE)

    async def fail() -> None:
        raise error

    monkeypatch.setattr(web, "start", fail)
    refused = await client.error(WEB, CONTAINER, "Start", "t", 0)
    assert refused.name == "org.freedesktop.DBus.Error.LimitsExceeded"
    assert refused.text == f"the service has run out of what this call needs: {words}; try again later"
    assert words in caplog.text
    caplog.clear()


async def test_a_disk_that_takes_nothing_is_named(
    client: Client, house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    web = house.registry.add("web", ALICE)

    async def fail() -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), f"{tmp_path}/file")

    monkeypatch.setattr(web, "start", fail)
    refused = await client.error(WEB, CONTAINER, "Start", "t", 0)
    assert refused.name == "org.mctl1.Error.StoreFailed"
    assert refused.text.endswith(f"{tmp_path} is on a read-only file system: make it writable")
    caplog.clear()


@pytest.mark.parametrize("wrong", [5, None, ["a"], ("a", "b", "c"), ("a", "\0")])
async def test_a_reply_of_a_wrong_type_is_an_internal_error(
    client: Client, house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, wrong: object
) -> None:
    monkeypatch.setattr(Manager, "wait_container", lambda *_: wrong)
    house.registry.add("web", ALICE)
    refused = await client.error(ROOT, MANAGER, "WaitContainer", "s", "web")
    assert refused.text.startswith("internal error")
    assert await house.owns_its_name()
    assert len(caplog.records) == 1
    caplog.clear()


async def test_an_answer_too_long_for_the_bus_is_refused(
    client: Client, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Manager, "get_container", lambda *_: "/" + "x" * (33 << 20))
    house.registry.add("web", ALICE)
    refused = await client.error(ROOT, MANAGER, "GetContainer", "s", "web")
    assert refused.name == f"{FREEDESKTOP}.LimitsExceeded"
    assert await house.owns_its_name()


async def test_a_cancelled_call_is_answered(client: Client, house: House) -> None:
    web = house.registry.add("web", ALICE)
    web.state = State.RUNNING
    waiting = asyncio.create_task(client.manager("WaitContainer", "s", "web"))
    await client.settled()
    await house.door.close(grace=0.1)
    with pytest.raises(RemoteError) as refused:
        await waiting
    assert refused.value.name == "org.mctl1.Error.Cancelled"
    await house.connection.request_name("org.mctl1")  # what the house gives back in the end


async def test_closing_lets_a_change_come_to_its_end(client: Client, house: House) -> None:
    web = house.registry.add("web", ALICE)
    web.hold = asyncio.Event()
    starting = asyncio.create_task(client.container("web", "Start", "t", 0))
    await _begun(web)
    asyncio.get_running_loop().call_later(0.05, web.hold.set)
    await house.door.close(grace=30)
    assert await starting == []
    await house.connection.request_name("org.mctl1")


async def _begun(container: SimulatedContainer) -> None:
    while not container.done:
        await asyncio.sleep(0.001)


async def test_a_call_without_reply_is_authorized_and_not_answered(house: House) -> None:
    alice = await house.client(ALICE)
    web = house.registry.add("web", ALICE)
    alice.connection.send("org.mctl1", WEB, CONTAINER, "Start", "t", [0])
    await alice.error(WEB, CONTAINER, "Start", "t", 0)
    assert (len(house.polkit.asked), web.done) == (2, [])
    house.polkit.decide = lambda _: YES
    alice.connection.send("org.mctl1", WEB, CONTAINER, "Start", "t", [0])
    assert (await alice.error(WEB, CONTAINER, "Start", "t", 0)).name == "org.mctl1.Error.AlreadyRunning"
    assert web.done == [("start",), ("start",)]


async def test_calls_in_flight_are_bounded(house: House) -> None:
    alice, bob = await house.client(ALICE), await house.client(ALICE + 1)
    house.registry.add("web", ALICE).state = State.RUNNING
    house.polkit.decide = lambda _: YES
    waiting = [asyncio.create_task(alice.manager("WaitContainer", "s", "web")) for _ in range(CALLS_MAX)]
    await bob.settled()
    for _ in range(3):
        refused = await alice.error(ROOT, MANAGER, "WaitContainer", "s", "web")
        assert refused.name == f"{FREEDESKTOP}.LimitsExceeded"
    await bob.settled()  # others are not concerned
    house.registry.containers["web"].state = State.EXITED
    house.registry.wake()
    await asyncio.gather(*waiting)
    await alice.settled()


async def test_a_long_message_is_refused_and_kept_out_of_memory(client: Client, house: House) -> None:
    options = {"Command": Variant("as", ["x" * ASKED_MAX])}
    refused = await client.error(ROOT, MANAGER, "CreateContainer", "sa{sv}t", "web", options, 0)
    assert refused.name == f"{FREEDESKTOP}.LimitsExceeded"
    options = {"Command": Variant("as", ["x" * (ASKED_MAX // 8)] * 7)}
    refused = await client.error(ROOT, MANAGER, "CreateContainer", "sa{sv}t", "web", options, 0)
    assert "Rootfs is missing" in refused.text


async def test_a_call_of_another_user_overtakes_a_flood(house: House) -> None:
    """In the order in which they came bob's would be the last; polkit is asked about both."""
    house.polkit.decide = lambda _: YES
    house.registry.add("alices", ALICE)
    house.registry.add("bobs", BOB)  # so that polkit decides whether each sees both
    flood = [await house.client(ALICE) for _ in range(4)]
    bob = await house.client(BOB)
    listing: tuple[Any, ...] = "ListContainers", "a{sv}t", {}, 0
    calls = [asyncio.create_task(client.manager(*listing)) for _ in range(CALLS_MAX) for client in flood]
    await asyncio.sleep(0)  # they are sent
    await bob.manager(*listing)
    assert sum(call.done() for call in calls) < len(calls) / 2
    await asyncio.gather(*calls)


async def test_bytes_in_flight_are_bounded(house: House) -> None:
    alice = await house.client(ALICE)
    house.polkit.decide = lambda asked: None if asked.interactive else CHALLENGE  # people take their time
    big = "web" + " " * (BYTES_MAX // 5)
    ask = alice.manager
    waiting = [asyncio.create_task(ask("GetContainer", "s", big, interactive=True)) for _ in range(4)]
    while len(house.polkit._prompts) < len(waiting):
        await house.polkit.news()
    refused = await alice.error(ROOT, MANAGER, "GetContainer", "s", big)
    assert "bytes" in refused.text
    for _ in waiting:
        house.polkit.answer(NO)
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_flood_of_dense_messages_leaves_room_for_others(house: House) -> None:
    """So many strings take a tenth of a second to decode: that must happen beside the loop."""
    alice, bob = await house.client(ALICE), await house.client(ALICE + 1)
    options = {"Names": Variant("as", [""] * 60_000)}
    waiting = [asyncio.create_task(alice.manager("ListContainers", "a{sv}t", options, 0)) for _ in range(2)]
    house.polkit.decide = lambda _: YES
    await bob.settled()
    assert not all(task.done() for task in waiting)
    assert await asyncio.gather(*waiting) == [[[]], [[]]]


async def test_properties_of_everything_at_once(client: Client, house: House) -> None:
    house.registry.add("web", ALICE)
    (values,) = await client.call(WEB, PROPERTIES, "GetAll", "s", "")
    assert values["Name"].value == "web"
    (values,) = await client.call(WEB, PROPERTIES, "GetAll", "s", PEER)
    assert values == {}


async def test_peer_answers_anywhere(client: Client) -> None:
    for path in ("/", "/nowhere", ROOT, WEB):
        assert await client.call(path, PEER, "Ping") == []
    with open("/etc/machine-id", encoding="ascii") as stream:
        expected = stream.read().strip()
    for _ in range(2):
        assert await client.call("/nowhere", PEER, "GetMachineId") == [expected]
