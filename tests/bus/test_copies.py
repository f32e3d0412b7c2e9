# SPDX-License-Identifier: GPL-3.0-or-later
"""CopyIn and CopyOut, called over a real bus."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from dbus_next.signature import Variant

from bus.house import ALICE, BOB, CONTAINER, ROOT_UID, House
from bus.polkit import NO, YES
from mctld.bus.paths import container_path
from mctld.lifecycle.copies import Arrival
from mctld.security import Security

if TYPE_CHECKING:
    from collections.abc import Iterator

WEB = container_path("web")


@pytest.fixture
def archive() -> Iterator[int]:
    """The reading end of a pipe with something in it."""
    reading, writing = os.pipe()
    os.write(writing, b"tar")
    os.close(writing)
    yield reading
    os.close(reading)


async def test_what_is_asked_is_what_is_done(house: House, archive: int) -> None:
    alice = await house.client(ALICE)
    house.registry.add("web", ALICE)
    house.polkit.decide = lambda _: YES
    body = ("srv/x", 0, {"Name": Variant("s", "top")}, 1)
    assert (await alice.call(WEB, CONTAINER, "CopyIn", "sha{sv}t", *body, fds=[archive])) == [2]
    reading, writing = os.pipe()
    assert (await alice.call(WEB, CONTAINER, "CopyOut", "sht", "/srv/x/.", 0, 1, fds=[writing])) == [0]
    os.close(writing)
    assert os.read(reading, 100) == b"archive"
    os.close(reading)
    assert house.registry.copies.done == [
        ("in", "web", Arrival("/srv/x", "top", keep_ids=True), b"tar", ALICE),
        ("out", "web", "/srv/x/.", ALICE, True),
    ]


async def test_rules_judge_by_path_and_direction(house: House, archive: int) -> None:
    alice = await house.client(ALICE)
    house.registry.add("web", ALICE)
    house.polkit.decide = lambda _: YES
    await alice.call(WEB, CONTAINER, "CopyIn", "sha{sv}t", "srv/x", 0, {}, 0, fds=[archive])
    (asked,) = house.polkit.asked
    assert asked.action == "org.mctl1.exec-own"
    assert {"container": "web", "verb": "copy-in", "path": "/srv/x", "owner": "1000"}.items() <= asked.details.items()
    assert "copy files to $(path) in the container $(container)" in asked.details["polkit.message"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (("", 0, {}, 0), "path is empty"),
        (("/" * 5000, 0, {}, 0), "path"),
        (("/x", 0, {}, 4), "flags 0x4 are not known"),
        (("/x", 0, {"Nam": Variant("s", "x")}, 0), "option 'Nam' is not known"),
        (("/x", 0, {"Name": Variant("s", "..")}, 0), "is no file name"),
        (("/x", 0, {"Name": Variant("s", "a/b")}, 0), "is no file name"),
        (("/x", 1, {}, 0), "did not come with the message"),
    ],
)
async def test_nonsense_is_refused(house: House, archive: int, body: tuple[Any, ...], words: str) -> None:
    bob = await house.client(BOB)
    error = await bob.error(WEB, CONTAINER, "CopyIn", "sha{sv}t", *body, fds=[archive])
    assert error.name == "org.freedesktop.DBus.Error.InvalidArgs"
    assert words in error.text
    assert house.polkit.asked == []


async def test_an_archive_is_no_directory_and_an_output_can_be_written(house: House, archive: int) -> None:
    root = await house.client(ROOT_UID)
    house.registry.add("web", ALICE)
    directory = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    error = await root.error(WEB, CONTAINER, "CopyIn", "sha{sv}t", "/", 0, {}, 0, fds=[directory])
    os.close(directory)
    assert "no file, pipe or socket" in error.text
    error = await root.error(WEB, CONTAINER, "CopyOut", "sht", "/", 0, 0, fds=[archive])
    assert "not open for writing" in error.text


async def test_ones_own_privileged_container_takes_more(house: House, archive: int) -> None:
    alice = await house.client(ALICE)
    house.registry.add("web", ALICE, owner=None)
    house.polkit.decide = lambda asked: YES if asked.action == "org.mctl1.exec-own" else NO
    error = await alice.error(WEB, CONTAINER, "CopyIn", "sha{sv}t", "/", 0, {}, 0, fds=[archive])
    assert error.name == "org.freedesktop.DBus.Error.AccessDenied"
    assert [a.action for a in house.polkit.asked] == ["org.mctl1.exec"]


async def test_with_the_hosts_ids_only_root_copies(house: House, archive: int) -> None:
    alice = await house.client(ALICE)
    house.registry.add("web", ALICE, security=Security(user_namespace="host"))
    house.polkit.decide = lambda _: YES
    error = await alice.error(WEB, CONTAINER, "CopyIn", "sha{sv}t", "/", 0, {}, 0, fds=[archive])
    assert "has the host's user ids: only root" in error.text
    assert house.registry.copies.done == []
    # polkit's yes is in the record, and so is the refusal that no action could lift.
    told = [(entry["MCTL_VERDICT"], entry["MCTL_ACTION"], entry["MCTL_VERB"]) for entry in house.record]
    assert told == [("granted", "org.mctl1.exec", "copy-in"), ("refused", "org.mctl1.exec", "copy-in")]


async def test_removal_by_force_waits_for_no_copy(house: House) -> None:
    root = await house.client(ROOT_UID)
    made = house.registry.add("web", ALICE)
    await root.call(WEB, CONTAINER, "Remove", "t", 1)
    assert house.registry.copies.done == [("given up", made.id)]
