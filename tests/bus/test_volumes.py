# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes as objects: their owners' alone, and what making a container with one asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dbus_next.signature import Variant

from bus.house import ALICE, BOB, CONTAINER, MANAGER, PROPERTIES, ROOT_UID, Client, House
from bus.polkit import NO, YES
from mctld.bus.paths import ROOT, VOLUMES, container_path, volume_path

if TYPE_CHECKING:
    from bus.polkit import Asked

VOLUME = "org.mctl1.Volume"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"


def own_only(asked: Asked) -> Any:
    return YES if asked.action.endswith(("-own", "create")) else NO


async def names(client: Client) -> list[str]:
    (found,) = await client.manager("ListVolumes", "t", 0)
    return sorted(each["Name"].value for each in found)


async def test_disk_use_is_told_of_what_is_visible(house: House) -> None:
    house.polkit.decide = own_only
    for owner, name in ((ALICE, "hers"), (BOB, "his")):
        house.registry.volumes.add(name, owner)
        house.registry.add(f"{name}-web", owner)
    alice, root = await house.client(ALICE), await house.client(ROOT_UID)
    (found,) = await alice.manager("GetDiskUsage", "t", 0)
    assert [(e["Kind"].value, e["Name"].value, e["OwnerUID"].value, e["Size"].value) for e in found] == [
        ("container", "hers-web", ALICE, 8), ("volume", "hers", ALICE, 4),
    ]  # fmt: skip
    assert len((await root.manager("GetDiskUsage", "t", 0))[0]) == 4
    assert house.registry.counted_for == [ALICE, ROOT_UID]


async def test_what_interrupted_pulls_have_left_is_told_and_removed(house: House) -> None:
    house.polkit.decide = own_only
    left = house.registry.transfers.left
    left.update({ALICE: 5, BOB: 7})
    alice, bob, root = await house.client(ALICE), await house.client(BOB), await house.client(ROOT_UID)
    (found,) = await alice.manager("GetDiskUsage", "t", 0)
    assert [(e["Kind"].value, e["Name"].value, e["OwnerUID"].value, e["Size"].value) for e in found] == [
        ("download", "", ALICE, 5)
    ]  # fmt: skip
    assert len((await root.manager("GetDiskUsage", "t", 0))[0]) == 2
    assert "org.mctl1.images-admin" in (await bob.error(ROOT, MANAGER, "DiscardDownloads", "t", 1)).text
    assert (await bob.manager("DiscardDownloads", "t", 0), left) == ([7], {ALICE: 5})
    assert (await root.manager("DiscardDownloads", "t", 1), left) == ([5], {})


async def test_they_are_their_owners_alone(house: House) -> None:
    house.polkit.decide = own_only
    for name, owner in (("hers", ALICE), ("his", BOB), ("roots", ROOT_UID)):
        house.registry.volumes.add(name, owner)
    alice, root = await house.client(ALICE), await house.client(ROOT_UID)
    assert (await names(alice), await names(root)) == (["hers"], ["hers", "his", "roots"])
    (objects,) = await alice.call(ROOT, OBJECT_MANAGER, "GetManagedObjects")
    assert {path for path in objects if path.startswith(VOLUMES)} == {volume_path("hers")}
    (text,) = await alice.call(VOLUMES, "org.freedesktop.DBus.Introspectable", "Introspect")
    assert ("hers" in text, "his" in text) == (True, False)
    there = await alice.error(volume_path("his"), PROPERTIES, "GetAll", "s", VOLUME)
    missing = await alice.error(volume_path("none"), PROPERTIES, "GetAll", "s", VOLUME)
    assert (there.name, there.text.replace("his", "none")) == (missing.name, missing.text)


async def test_made_told_used_and_removed(house: House) -> None:
    house.polkit.decide = own_only
    alice, bob = await house.client(ALICE), await house.client(BOB)
    for client in (alice, bob):
        await client.manager("Subscribe")
    options = {"Labels": Variant("a{ss}", {"of": "alice"})}
    assert await alice.manager("CreateVolume", "sa{sv}t", "data", options, 0) == [volume_path("data"), "data"]
    (found,) = await alice.call(volume_path("data"), PROPERTIES, "GetAll", "s", VOLUME)
    assert {key: variant.value for key, variant in found.items()} == {
        "Id": "data", "Name": "data", "OwnerUID": ALICE, "CreateTimestamp": 7, "Labels": {"of": "alice"},
        "Containers": [],
    }  # fmt: skip
    house.registry.volumes.used["data"] = ["web"]
    assert (await alice.error(volume_path("data"), VOLUME, "Remove", "t", 0)).name == "org.mctl1.Error.VolumeInUse"
    house.registry.volumes.used.clear()
    await alice.call(volume_path("data"), VOLUME, "Remove", "t", 0)
    await alice.settled()
    await bob.settled()
    assert [(name, body[0]) for name, _, body in alice.signals] == [
        ("InterfacesAdded", volume_path("data")), ("InterfacesRemoved", volume_path("data")),
    ]  # fmt: skip
    assert bob.signals == []
    for name in ("../x", "a" * 200):
        refused = await alice.error(ROOT, "org.mctl1.Manager", "CreateVolume", "sa{sv}t", name, {}, 0)
        assert "is not a name for a volume" in refused.text


async def test_what_a_rule_is_told_of_a_container(house: House) -> None:
    house.polkit.decide = lambda _: YES
    alice = await house.client(ALICE)
    house.registry.images.add("web", ALICE, Cmd=["sh"], Volumes={"/own": {}})
    options = {"Image": Variant("s", "web"), "Volumes": Variant("a(sss)", [["data", "/data", "ro"]])}
    await alice.manager("CreateContainer", "sa{sv}t", "mine", options, 0)
    (asked,) = house.polkit.asked
    assert (asked.action, asked.details["volumes"]) == ("org.mctl1.create", "data /own")
    found = await alice.call(container_path("mine"), PROPERTIES, "Get", "ss", CONTAINER, "Volumes")
    assert found[0].value == [["data", "/data", "ro"], ["", "/own", "rw"]]


async def test_nameless_ones_go_when_that_is_asked_for(house: House) -> None:
    root = await house.client(ROOT_UID)
    for flags, gone in ((0, []), (2, ["web"])):
        house.registry.add("web", ROOT_UID)
        await root.container("web", "Remove", "t", flags)
        assert house.registry.volumes.discarded == gone
