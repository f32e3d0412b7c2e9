# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks as objects: who sees them, what they tell, what making one asks."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import TYPE_CHECKING, Any

import pytest
from dbus_next.signature import Variant

from bus.house import ALICE, BOB, CONTAINER, MANAGER, PROPERTIES, ROOT_UID, Client, House
from bus.polkit import NO, YES
from mctld.bus.paths import NETWORKS, ROOT, container_path, network_path
from mctld.macvlan import Macvlan
from mctld.networking import Fixed
from mctld.ports import Port

NETWORK = "org.mctl1.Network"

if TYPE_CHECKING:
    from bus.polkit import Asked


def own_only(asked: Asked) -> Any:
    return YES if asked.action.endswith("-own") else NO


async def names(client: Client) -> list[str]:
    (found,) = await client.manager("ListNetworks", "t", 0)
    return sorted(each["Name"].value for each in found)


async def test_roots_are_everybodys_and_others_are_their_own(house: House) -> None:
    house.polkit.decide = own_only
    for name, owner in (("bridge", ROOT_UID), ("hers", ALICE), ("his", BOB)):
        house.registry.networks.add(name, owner)
    alice, root = await house.client(ALICE), await house.client(ROOT_UID)
    assert await names(alice) == ["bridge", "hers"]
    assert await names(root) == ["bridge", "hers", "his"]
    (objects,) = await alice.call(ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
    assert {path for path in objects if path.startswith(NETWORKS)} == {network_path("bridge"), network_path("hers")}
    (text,) = await alice.call(NETWORKS, "org.freedesktop.DBus.Introspectable", "Introspect")
    assert "his" not in text
    assert "hers" in text


async def test_anothers_and_none_look_the_same(house: House) -> None:
    house.polkit.decide = own_only
    alice = await house.client(ALICE)
    missing = await alice.error(network_path("his"), PROPERTIES, "GetAll", "s", NETWORK)
    house.registry.networks.add("his", BOB)
    there = await alice.error(network_path("his"), PROPERTIES, "GetAll", "s", NETWORK)
    assert (missing.name, missing.text) == (there.name, there.text)
    changed = await alice.error(network_path("his"), NETWORK, "Remove", "t", 0)
    assert "there is no network 'his' of yours, and changing other users' networks needs" in changed.text


async def test_properties(house: House) -> None:
    house.polkit.decide = own_only
    house.registry.networks.add("hers", ALICE, "10.9.8.0/24", internal=True)
    alice = await house.client(ALICE)
    (found,) = await alice.call(network_path("hers"), PROPERTIES, "GetAll", "s", NETWORK)
    assert {key: variant.value for key, variant in found.items()} == {
        "Name": "hers", "OwnerUID": ALICE, "Interface": "mctl1", "Subnet": "10.9.8.0/24", "Subnet6": "fd12::/64",
        "Gateway": "10.9.8.1", "Gateway6": "fd12::1", "Internal": True, "Containers": 4, "CreateTimestamp": 7,
        "Driver": "bridge", "Mode": "", "AddressRange": "10.9.8.0/24", "Shared": False, "MTU": 0,
    }  # fmt: skip


async def test_properties_of_a_link_of_the_hosts(house: House) -> None:
    """Without a word of root's it is root's alone."""
    house.polkit.decide = own_only
    link = Macvlan("uplink", IPv4Address("192.0.2.254"), IPv6Address("fe80::1"), "vepa", IPv4Network("192.0.2.64/26"))
    house.registry.networks.add("lan", ROOT_UID, "192.0.2.0/24", macvlan=link)
    house.registry.networks.add("ours", ROOT_UID, "198.51.100.0/24", macvlan=replace(link, shared=True))
    alice, root = await house.client(ALICE), await house.client(ROOT_UID)
    assert await names(alice) == ["ours"]
    (found,) = await root.call(network_path("lan"), PROPERTIES, "GetAll", "s", NETWORK)
    wanted = {
        "Interface": "uplink", "Gateway": "192.0.2.254", "Gateway6": "fe80::1", "Driver": "macvlan", "Mode": "vepa",
        "AddressRange": "192.0.2.64/26", "Shared": False,
    }  # fmt: skip
    assert {key: found[key].value for key in wanted} == wanted
    missing = await alice.error(container_path("web"), CONTAINER, "Connect", "sa{sv}t", "lan", {}, 0)
    house.registry.add("web", ALICE)
    refused = await alice.error(container_path("web"), CONTAINER, "Connect", "sa{sv}t", "lan", {}, 0)
    assert missing.name != refused.name == "org.mctl1.Error.NoSuchNetwork"


async def test_making_one_asks_an_administrator_with_details(house: House) -> None:
    alice = await house.client(ALICE)
    house.polkit.decide = lambda _: YES
    options = {"Subnet": Variant("s", "10.7.0.0/24"), "Internal": Variant("b", value=True)}
    assert await alice.manager("CreateNetwork", "sa{sv}t", "back-end", options, 0) == [network_path("back-end")]
    (asked,) = house.polkit.asked
    assert asked.action == "org.mctl1.network-admin"
    assert asked.details["network"] == "back-end"
    assert asked.details["subnet"] == "10.7.0.0/24"
    assert asked.details["driver"] == "bridge"
    made = house.registry.networks.found["back-end"]
    assert (made.owner_uid, str(made.subnet), made.internal) == (ALICE, "10.7.0.0/24", True)


async def test_making_one_on_a_link_of_the_hosts_says_so(house: House) -> None:
    house.polkit.decide = lambda _: YES
    words = {"Driver": "macvlan", "Parent": "uplink", "Subnet": "192.0.2.0/24", "Mode": "private"}
    options = {key: Variant("s", text) for key, text in words.items()}
    root = await house.client(ALICE)
    await root.manager("CreateNetwork", "sa{sv}t", "lan", options, 0)
    (asked,) = house.polkit.asked
    assert asked.action == "org.mctl1.network-admin"
    wanted = {"driver": "macvlan", "parent": "uplink", "mode": "private", "shared": "no", "subnet": "192.0.2.0/24"}
    assert {key: asked.details[key] for key in wanted} == wanted
    assert "on the host's link $(parent)" in asked.details["polkit.message"]


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("Back", {}, "network 'Back' is not a valid name"),
        ("none", {}, "would be mistaken for a word of --network"),
        ("a", {"Subnet": Variant("s", "10.0.0.1/24")}, "is not an IPv4 subnet"),
        ("a", {"Subnet": Variant("s", "8.8.8.0/24")}, "is not private"),
        ("a", {"Subnet": Variant("u", 7)}, "option Subnet must be a string"),
        ("a", {"MTU": Variant("t", 1279)}, "MTU 1279 is not possible: take 1280 to 65535 bytes, or leave it out"),
        ("a", {"MTU": Variant("t", 65_536)}, "MTU 65536 is not possible"),
        ("a", {"MTU": Variant("s", "1400")}, "option MTU must be an unsigned 64-bit integer"),
        ("a", {"Driver": Variant("s", "overlay")}, "Driver 'overlay' is not known: use one of bridge, macvlan"),
        ("a", {"Drive": Variant("s", "overlay")}, "option 'Drive' is not known; known are AddressRange, Driver,"),
    ],
)
async def test_what_is_refused_before_anybody_is_asked(
    house: House, name: str, options: dict[str, Variant], sentence: str
) -> None:
    alice = await house.client(ALICE)
    error = await alice.error(ROOT, MANAGER, "CreateNetwork", "sa{sv}t", name, options, 0)
    assert error.name == "org.freedesktop.DBus.Error.InvalidArgs"
    assert sentence in error.text
    assert house.polkit.asked == []


async def test_comings_and_goings_are_told_to_those_who_may_use_it(house: House) -> None:
    house.polkit.decide = own_only
    alice, bob = await house.client(ALICE), await house.client(BOB)
    for client in (alice, bob):
        await client.manager("Subscribe")
    hers = house.registry.networks.add("hers", ALICE)
    house.registry.networks.add("bridge", ROOT_UID)
    await house.registry.networks.remove(hers)
    for client in (alice, bob):
        await client.settled()
    told = [(member, body[0]) for member, _, body in alice.signals]
    assert told == [
        ("InterfacesAdded", network_path("hers")),
        ("InterfacesAdded", network_path("bridge")),
        ("InterfacesRemoved", network_path("hers")),
    ]
    assert [body[0] for _, _, body in bob.signals] == [network_path("bridge")]


@pytest.mark.parametrize(("port", "privileged"), [(8080, False), (1023, True)])
async def test_publishing_on_a_low_port_takes_more(house: House, port: int, *, privileged: bool) -> None:
    web = house.registry.add("web", ALICE)
    alice = await house.client(ALICE)
    house.polkit.decide = lambda _: YES
    await alice.container("web", "Publish", "a(ssqqq)t", [["tcp", "", port, 80, 1]], 0)
    expected = ["org.mctl1.manage-own", *(["org.mctl1.create-privileged"] if privileged else [])]
    assert [asked.action for asked in house.polkit.asked] == expected
    assert house.polkit.asked[-1].details["ports"] == f"{port}:80/tcp"
    assert web.done == [("publish", (Port("tcp", "", port, 80),), ())]
    await alice.container("web", "Unpublish", "a(ssqqq)t", [["tcp", "", port, 80, 1]], 0)
    assert web.done[-1] == ("publish", (), (Port("tcp", "", port, 80),))


async def test_bad_ports_are_refused_before_anybody_is_asked(house: House) -> None:
    house.registry.add("web", ALICE)
    alice = await house.client(ALICE)
    path = container_path("web")
    error = await alice.error(path, CONTAINER, "Publish", "a(ssqqq)t", [["icmp", "", 1, 1, 1]], 0)
    assert "protocol 'icmp' is not known" in error.text
    assert house.polkit.asked == []


async def test_connecting_is_managing_the_container_by_a_network_that_one_may_use(house: House) -> None:
    web = house.registry.add("web", ALICE)
    house.registry.networks.add("front", ROOT_UID)
    house.registry.networks.add("his", BOB)
    alice = await house.client(ALICE)
    house.polkit.decide = lambda _: YES
    fixed = {"Address": Variant("s", "10.90.0.7"), "Address6": Variant("s", "FD00:0::0:7")}
    await alice.container("web", "Connect", "sa{sv}t", "front", fixed, 0)
    await alice.container("web", "Connect", "sa{sv}t", "front", {"Aliases": Variant("as", ["db", "sql"])}, 0)
    await alice.container("web", "Disconnect", "st", "front", 0)
    connected = ("connect", "front", Fixed("10.90.0.7", "fd00::7"))
    done = [connected, ("connect", "front", Fixed(), "db", "sql"), ("disconnect", "front")]
    assert web.done == done
    assert [asked.action for asked in house.polkit.asked] == ["org.mctl1.manage-own"] * 3
    assert house.polkit.asked[0].details["network"] == "front"
    path = container_path("web")
    error = await alice.error(path, CONTAINER, "Connect", "sa{sv}t", "his", {}, 0)
    assert error.name == "org.mctl1.Error.NoSuchNetwork"
    house.polkit.asked.clear()
    wrong = (("no/name", "Address", "10.90.0.7"), ("front", "Address", "::1"), ("front", "Ip", "10.90.0.7"),
             ("front", "Address6", "10.90.0.7"), ("front", "Address6", "fe80::1%eth0"))  # fmt: skip
    for network, key, value in wrong:
        given = {key: Variant("s", value)}
        error = await alice.error(path, CONTAINER, "Connect", "sa{sv}t", network, given, 0)
        assert error.name == "org.freedesktop.DBus.Error.InvalidArgs"
    assert house.polkit.asked == []
    error = await alice.error(path, CONTAINER, "Connect", "sa{sv}t", "front", {"Aliases": Variant("as", ["a b"])}, 0)
    assert "Aliases 'a b' is not a host name" in error.text
    assert web.done == done
