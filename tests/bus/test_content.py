# SPDX-License-Identifier: GPL-3.0-or-later
"""Images made of containers and of other images, over the bus: what is asked for, and what comes of it."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from dbus_next.signature import Variant

from bus.house import ALICE, BOB, MANAGER, ROOT_UID
from bus.polkit import YES
from mctld.bus.paths import ROOT, container_path, image_path

if TYPE_CHECKING:
    from bus.house import Client, House

IMAGE = "org.mctl1.Image"
RUNNING_ON = Variant("b", False)  # noqa: FBT003


async def permitted(house: House, uid: int = ALICE) -> Client:
    house.polkit.decide = lambda _: YES
    return await house.client(uid)


def made(house: House) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(house.registry.images.images["new"].configuration.text)
    return found


async def test_a_container_is_exported_into_a_pipe(house: House) -> None:
    container = house.registry.add("web", ALICE)
    alice = await permitted(house)
    reading, writing = os.pipe()
    await alice.container("web", "Export", "ha{sv}t", 0, {"Pause": RUNNING_ON}, 0, fds=[writing])
    os.close(writing)
    assert (os.read(reading, 100), container.done) == (b"web", [("export", False)])
    refused = await alice.error(
        container_path("web"), "org.mctl1.Container", "Export", "ha{sv}t", 0, {}, 0, fds=[reading]
    )
    os.close(reading)
    assert "not open for writing" in str(refused)


async def test_what_has_changed_is_listed_into_a_pipe(house: House) -> None:
    house.registry.add("web", ALICE)
    alice = await permitted(house)
    reading, writing = os.pipe()
    await alice.container("web", "ListChanges", "ht", 0, 0, fds=[writing])
    os.close(writing)
    assert os.read(reading, 100) == b"A /new\0C /etc\0D /etc/issue\0"
    refused = await alice.error(container_path("web"), "org.mctl1.Container", "ListChanges", "ht", 0, 0, fds=[reading])
    os.close(reading)
    assert "not open for writing" in str(refused)
    assert house.polkit.asked[0].details["verb"] == "diff"


async def test_an_export_ends_with_its_caller(house: House) -> None:
    """Though it takes what changing a container takes: a reader that is slow for ever must not keep it."""
    container = house.registry.add("web", ALICE)
    container.hold = asyncio.Event()
    alice, bob = await permitted(house), await house.client(BOB)
    reading, writing = os.pipe()
    asked = asyncio.create_task(alice.container("web", "Export", "ha{sv}t", 0, {}, 0, fds=[writing]))
    while not container.done:
        await bob.settled()
    await alice.connection.close()
    while len(container.done) < 2:
        await bob.settled()
    assert container.done == [("export", True), ("export", "given up")]
    await asyncio.gather(asked, return_exceptions=True)
    os.close(reading)
    os.close(writing)


async def test_a_container_becomes_an_image(house: House) -> None:
    """It says by itself what the container was run with."""
    container = house.registry.add("web", ALICE)
    alice = await permitted(house)
    options = {
        "Name": Variant("s", "example.org/web:2"), "Author": Variant("s", "A"), "Comment": Variant("s", "why"),
        "StopSignal": Variant("s", "SIGINT"), "Environment": Variant("as", ["MORE=1"]),
        "HealthCommand": Variant("as", ["/check"]), "HealthIntervalUSec": Variant("t", 5_000_000),
    }  # fmt: skip
    path, identity, warnings = await alice.container("web", "Commit", "a{sv}t", options, 0)
    image = house.registry.images.images["new"]
    assert (path, identity, image.owner_uid, image.shared) == (image_path("new"), image.id, ALICE, False)
    assert [str(reference) for reference in image.references] == ["example.org/web:2"]
    assert warnings == ["1 device nodes and sockets were left out, which no layer holds"]
    assert container.done == [("commit", True)]
    found = made(house)
    assert found["config"] == {
        "Cmd": list(container.spec.command), "Env": ["MORE=1"], "WorkingDir": "/", "StopSignal": "SIGINT",
        "Healthcheck": {"Test": ["CMD", "/check"], "Interval": 5_000_000_000},
    }  # fmt: skip
    (step,) = found["history"]
    assert (step["comment"], step["author"], "empty_layer" in step) == ("why", "A", False)


@pytest.mark.parametrize(("uid", "private", "shared"), [
    (ROOT_UID, False, True),
    (ROOT_UID, True, False),
    (ALICE, False, False),
])  # fmt: skip
async def test_an_image_is_made_from_another(house: House, uid: int, private: bool, shared: bool) -> None:  # noqa: FBT001
    """Config that is given replaces, is added, or, empty, takes away; history tells the steps in order."""
    house.registry.images.add(
        "base", ROOT_UID, shared=True, Entrypoint=["/old"], Cmd=["old"], Env=["A=1", "B=2"], User="7",
        Labels={"a": "1"}, ExposedPorts={"80/tcp": {}},
    )  # fmt: skip
    client = await permitted(house, uid)
    archive = os.memfd_create("archive")
    os.write(archive, b"tar")
    os.lseek(archive, 0, os.SEEK_SET)
    options = {
        "Archive": Variant("h", 0), "Private": Variant("b", private), "History": Variant("as", ["ENV B=3", "COPY x /"]),
        "Entrypoint": Variant("as", ["/new"]), "Environment": Variant("as", ["B=3", "C=4"]), "User": Variant("s", ""),
        "Labels": Variant("a{ss}", {"b": "2"}), "ExposedPorts": Variant("as", ["81/tcp"]),
        "HealthCommand": Variant("as", []),
    }  # fmt: skip
    await client.manager("DeriveImage", "sa{sv}t", "base", options, 0, fds=[archive])
    os.close(archive)
    image, found = house.registry.images.images["new"], made(house)
    assert (image.owner_uid, image.shared, house.registry.images.archives) == (uid, shared, [b"tar"])
    assert found["config"] == {
        "Entrypoint": ["/new"], "Env": ["A=1", "B=3", "C=4"], "Labels": {"a": "1", "b": "2"},
        "ExposedPorts": {"80/tcp": {}, "81/tcp": {}}, "Healthcheck": {"Test": ["NONE"]},
    }  # fmt: skip
    assert [(step["created_by"], step.get("empty_layer", False)) for step in found["history"]] == [
        ("ENV B=3", True), ("COPY x /", False),
    ]  # fmt: skip
    assert found["author"] == "base"
    assert len(found["rootfs"]["diff_ids"]) == 2


async def test_what_an_image_has_at_a_path(house: House) -> None:
    house.registry.images.add("box", ALICE)
    alice = await permitted(house)
    assert await alice.call(image_path("box"), IMAGE, "Resolve", "s", "/bin") == ["/box/bin", "directory", 0o755, 1, 2]
    for path in ("bin", ""):
        refused = await alice.error(image_path("box"), IMAGE, "Resolve", "s", path)
        assert "is not absolute" in str(refused)
    reading, writing = os.pipe()
    await alice.call(image_path("box"), IMAGE, "Export", "hst", 0, "/etc", 0, fds=[writing])
    os.close(writing)
    assert os.read(reading, 100) == b"box /etc"
    os.close(reading)


async def test_what_is_derived_must_make_sense_before_anything_is_read(house: House) -> None:
    house.registry.images.add("box", ALICE)
    alice = await permitted(house)
    for options, words in (
        ({"StopSignal": Variant("s", "NOPE")}, "no signal"),
        ({"ExposedPorts": Variant("as", ["no"])}, "ExposedPorts"),
        ({"Name": Variant("s", "UPPER")}, "not a name"),
    ):
        refused = await alice.error(ROOT, MANAGER, "DeriveImage", "sa{sv}t", "box", options, 0)
        assert words in str(refused)
    refused = await alice.error(ROOT, MANAGER, "DeriveImage", "sa{sv}t", "none", {}, 0)
    assert refused.name == "org.mctl1.Error.NoSuchImage"


async def test_several_images_are_saved_if_all_are_the_callers(house: House) -> None:
    for name, owner in (("hers", ALICE), ("more", ALICE), ("his", BOB)):
        house.registry.images.add(name, owner)
    alice = await permitted(house)
    reading, writing = os.pipe()
    await alice.manager("SaveImages", "hast", 0, ["hers", "more"], 0, fds=[writing])
    assert os.read(reading, 100) == b"hers more"
    refused = await alice.error(ROOT, MANAGER, "SaveImages", "hast", 0, ["hers", "his"], 0, fds=[writing])
    none = await alice.error(ROOT, MANAGER, "SaveImages", "hast", 0, [], 0, fds=[writing])
    unwritable = await alice.error(ROOT, MANAGER, "SaveImages", "hast", 0, ["hers"], 0, fds=[reading])
    for descriptor in (reading, writing):
        os.close(descriptor)
    assert (refused.name, "'his'" in refused.text) == ("org.mctl1.Error.NoSuchImage", True)
    assert "holds 1 to 256" in none.text
    assert "not open for writing" in unwritable.text
