# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be asked for, and what a lease looks like in the kernel."""

from __future__ import annotations

import socket
from dataclasses import asdict, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Network

import pytest

from mctld.errors import InvalidArgs
from mctld.network import routes
from mctld.network.connection import LINK_NAME, Connection
from mctld.networking import Fixed, Network, Networking, check_new_network, parse_subnet, restored

NETWORK = Network("bridge", "mctl0", 0, IPv4Network("172.20.0.0/16"), IPv6Network("fd12::/64"))


@pytest.mark.parametrize(
    ("networks", "address", "sentence"),
    [
        (("Bridge",), "", "network 'Bridge' is not a valid name"),
        (("",), "", "network '' is not a valid name"),
        (("a" * 64,), "", "is not a valid name"),
        (("a", "b", "a"), "", "names a network twice: a, b, a"),
        (tuple(f"n{i}" for i in range(17)), "", "has 17 entries: the most is 16"),
        ((), "172.20.0.2", "Address 172.20.0.2 needs a network"),
        (("a",), "172.20.0", "Address '172.20.0' is not an IPv4 address"),
        (("a",), "172.20.0.02", "is not an IPv4 address"),
        (("a",), "fd12::1", "is not an IPv4 address"),
        (("a",), "1.2.3.4\n", "is not an IPv4 address"),
    ],
)
def test_what_is_refused(networks: tuple[str, ...], address: str, sentence: str) -> None:
    with pytest.raises(InvalidArgs, match=sentence):
        Networking(networks, address)


@pytest.mark.parametrize(
    ("networks", "address", "sentence"),
    [
        ((), "fd12::9", "Address6 fd12::9 needs a network"),
        (("a",), "172.20.0.9", "Address6 '172.20.0.9' is not an IPv6 address"),
        (("a",), "fd12::9%eth0", "Address6 'fd12::9%eth0' must not name an interface: fd12::9 is enough"),
    ],
)
def test_ipv6_addresses_that_are_refused(networks: tuple[str, ...], address: str, sentence: str) -> None:
    with pytest.raises(InvalidArgs, match=sentence):
        Networking(networks, address6=address)


def test_the_first_network_takes_its_fixed_addresses_along() -> None:
    both = Networking(("a", "b"), "172.20.0.9", address6="fd12::9")
    assert both.left("b").fixed == Fixed("172.20.0.9", "fd12::9")
    assert both.left("a").fixed == Fixed()
    assert restored(asdict(both)) == both
    old = asdict(both)
    del old["address6"]  # of before there was such a field
    assert restored(old) == replace(both, address6="")


def test_the_first_addresses_of_a_network() -> None:
    assert (str(NETWORK.gateway), str(NETWORK.gateway6)) == ("172.20.0.1", "fd12::1")
    assert IPv4Address(NETWORK.first) == IPv4Address("172.20.0.2")
    assert IPv4Address(NETWORK.first + NETWORK.count - 1) == IPv4Address("172.20.255.254")


def test_a_connection_is_named_after_whose_it_is() -> None:
    lease = NETWORK.lease("0123", IPv4Address("172.20.3.4"), 1)
    there = Connection(NETWORK, lease, "container web", leads_out=False)
    assert (str(there.address), str(there.address6)) == ("172.20.3.4/16", "fd12::304/64")
    assert (there.inside, there.mac) == ("eth1", "02:6d:ac:14:03:04")
    assert LINK_NAME.fullmatch(there.link)
    assert len(there.link) <= 15
    other = NETWORK.lease("0124", IPv4Address("172.20.3.5"), 0)
    assert Connection(NETWORK, other, "container other", leads_out=True).link != there.link


@pytest.mark.parametrize("text", ["10.0.0.0/8", "172.31.255.248/29", "192.168.7.0/24", "100.64.0.0/10"])
def test_subnets(text: str) -> None:
    assert str(parse_subnet(text)) == text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("10.0.0.1/24", "is not an IPv4 subnet"),
        ("fd00::/64", "is not an IPv4 subnet"),
        ("10.0.0.0", "wrong size: it must be from /8 to /29"),
        ("10.0.0.0/30", "wrong size"),
        ("10.0.0.0/7", "wrong size"),
        ("0.0.0.0/0", "wrong size"),
        ("127.0.0.0/8", "is not private"),
        ("172.0.0.0/8", "is not private"),
        ("8.8.8.0/24", "is not private: take one in 10.0.0.0/8"),
        ("10.0.0.0/24; flush", "is not an IPv4 subnet"),
    ],
)
def test_subnets_that_are_refused(text: str, sentence: str) -> None:
    with pytest.raises(InvalidArgs, match=sentence):
        parse_subnet(text)


@pytest.mark.parametrize("name", ["none", "host", "container", "default"])
def test_words_are_no_names(name: str) -> None:
    with pytest.raises(InvalidArgs, match="would be mistaken for a word"):
        check_new_network(name)


def test_who_sees_a_network() -> None:
    hers = replace(NETWORK, owner_uid=1000)
    assert [NETWORK.is_visible_to(uid) for uid in (0, 1000, 1001)] == [True, True, True]
    assert [hers.is_visible_to(uid) for uid in (0, 1000, 1001)] == [True, True, False]


def test_whoever_asks_for_a_check_learns_no_name_of_anothers_network(monkeypatch: pytest.MonkeyPatch) -> None:
    into = [routes.Route(IPv4Network("10.90.0.0/16"), 0)]
    monkeypatch.setattr(routes, "routes", lambda _, family: into if family == socket.AF_INET else [])
    shared = Network("everybodys", "mctl1", 0, IPv4Network("10.90.1.0/24"), IPv6Network("fd13::/64"))
    own = Network("secret", "mctl2", 1000, IPv4Network("10.90.2.0/24"), IPv6Network("fd14::/64"))
    assert [found.partition(" overlaps ")[2] for found in routes.overlaps((shared, own))] == [
        "10.90.1.0/24 of network everybodys", "10.90.2.0/24 of a network of a user's own"
    ]  # fmt: skip
