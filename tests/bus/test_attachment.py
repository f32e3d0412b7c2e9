# SPDX-License-Identifier: GPL-3.0-or-later
"""Terminals and attached streams, called over a real bus."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest
from dbus_next.signature import Variant

from bus.house import ALICE, BOB, CONTAINER, House
from bus.polkit import CHALLENGE, NO, YES
from mctld.bus.paths import container_path
from mctld.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bus.house import Client

DENIED = "org.freedesktop.DBus.Error.AccessDenied"
INVALID = "org.freedesktop.DBus.Error.InvalidArgs"


@pytest.fixture
def rootfs(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def interactive(rows: int, columns: int) -> dict[str, Variant]:
    return {
        "Rootfs": Variant("h", 0), "Command": Variant("as", ["/bin/sh"]), "Terminal": Variant("b", value=True),
        "TerminalSize": Variant("(qq)", [rows, columns]),
    }  # fmt: skip


async def talk(house: House, name: str, descriptors: list[int]) -> None:
    """What one side says the other hears."""
    (theirs,) = descriptors
    with socket.socket(fileno=theirs) as client, house.registry.containers[name].sockets[-1] as service:
        client.send(b"typed")
        assert service.recv(100) == b"typed"
        service.send(b"printed")
        assert client.recv(100) == b"printed"


async def test_a_run_with_a_terminal_gives_one_stream_for_both_directions(
    client: Client, house: House, rootfs: int
) -> None:
    reply = await client.run("web", interactive(33, 77), 1, [rootfs])
    _, _, streams, _ = reply.body()
    assert len(streams) == 1
    await talk(house, "web", reply.fds.take_all())
    assert house.registry.containers["web"].window == (33, 77)
    assert house.registry.containers["web"].spec.terminal
    assert await client.get("web", "Terminal") is True


async def test_attaching_again_and_another_size(client: Client, house: House) -> None:
    house.registry.add("web", ALICE, terminal=True).state = State.RUNNING
    for _ in range(2):
        reply = await client.exchange(container_path("web"), CONTAINER, "Attach", "t", 0)
        await talk(house, "web", reply.fds.take_all())
    await client.container("web", "Resize", "qq", 50, 132)
    assert house.registry.containers["web"].window == (50, 132)


async def test_what_a_person_is_asked(house: House) -> None:
    bob = await house.client(BOB)
    house.registry.add("web", ALICE, terminal=True).state = State.RUNNING
    house.polkit.decide = lambda _: CHALLENGE
    error = await bob.error(container_path("web"), CONTAINER, "Attach", "t", 0, interactive=True)
    assert error.name == DENIED
    shown = house.polkit.asked[-1]
    assert (shown.action, shown.details["verb"]) == ("org.mctl1.attach", "attach")
    message = "Authentication is required to attach to the container $(container), which is not yours."
    assert shown.details["polkit.message"] == message


async def test_a_start_attached_passes_on_what_belongs_to_it(client: Client, house: House) -> None:
    house.registry.add("web", ALICE)
    reading, writing = os.pipe()
    os.write(writing, b"input")
    reply = await client.exchange(
        container_path("web"), CONTAINER, "StartAttached", "a{sv}t", {"Stdin": Variant("h", 0)}, 0, fds=[reading]
    )
    for fd in (reading, writing, *reply.fds.take_all()):
        os.close(fd)
    assert reply.body() == [[0, 1]]
    assert house.registry.stdin == [b"input"]
    assert house.registry.containers["web"].state is State.RUNNING


async def test_a_command_with_a_terminal_gives_its_master(client: Client, house: House) -> None:
    house.registry.add("web", ALICE).state = State.RUNNING
    options = {"Terminal": Variant("b", value=True), "TerminalSize": Variant("(qq)", [33, 77])}
    reply = await client.exchange(container_path("web"), CONTAINER, "Exec", "asa{sv}t", ["/bin/sh"], options, 1)
    (master,) = reply.fds.take_all()
    assert os.isatty(master)
    os.close(master)
    execution = house.registry.execs.asked[0][0]
    assert (execution.terminal, execution.window) == (True, (33, 77))


@pytest.mark.parametrize(
    ("options", "flags", "words"),
    [
        ({"Terminal": Variant("b", value=True)}, 0, "without the flag attach"),
        ({"Terminal": Variant("b", value=True), "Stdin": Variant("h", 0)}, 1, "by the stream"),
        ({"TerminalSize": Variant("(qq)", [33, 77])}, 1, "without Terminal"),
    ],
)
async def test_a_commands_terminal_is_asked_for_rightly(
    client: Client, house: House, options: dict[str, Variant], flags: int, words: str
) -> None:
    house.registry.add("web", ALICE).state = State.RUNNING
    reading, writing = os.pipe()
    error = await client.error(
        container_path("web"), CONTAINER, "Exec", "asa{sv}t", ["/bin/sh"], options, flags, fds=[reading]
    )
    os.close(reading)
    os.close(writing)
    assert error.name == INVALID
    assert words in error.text


async def test_what_does_not_run_cannot_be_attached_to(client: Client, house: House) -> None:
    house.registry.add("web", ALICE, terminal=True)
    for member, signature, body in (("Attach", "t", [0]), ("Resize", "qq", [1, 1])):
        error = await client.error(container_path("web"), CONTAINER, member, signature, *body)
        assert error.name == "org.mctl1.Error.NotRunning"


async def test_a_container_without_terminal_has_no_size(client: Client, house: House) -> None:
    house.registry.add("web", ALICE).state = State.RUNNING
    error = await client.error(container_path("web"), CONTAINER, "Resize", "qq", 1, 1)
    assert error.name == "org.mctl1.Error.NoTerminal"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"TerminalSize": Variant("(ii)", [1, 1])}, "a pair of unsigned 16-bit integers"),
        ({"Terminal": Variant("b", value=True)}, "option 'Terminal' is not known"),
    ],
)
async def test_a_start_refuses_what_it_does_not_know(
    client: Client, house: House, options: dict[str, Variant], words: str
) -> None:
    house.registry.add("web", ALICE)
    error = await client.error(container_path("web"), CONTAINER, "StartAttached", "a{sv}t", options, 0)
    assert error.name == INVALID
    assert words in error.text


@pytest.mark.parametrize("granted", ["org.mctl1.manage", "org.mctl1.attach"])
async def test_to_start_and_attach_takes_both(house: House, granted: str) -> None:
    bob = await house.client(BOB)
    house.registry.add("web", ALICE)
    house.polkit.decide = lambda asked: YES if asked.action == granted else NO
    error = await bob.error(container_path("web"), CONTAINER, "StartAttached", "a{sv}t", {}, 0)
    assert error.name == DENIED
