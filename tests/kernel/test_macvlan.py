# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces on a link of the host's, with real neighbours: in network namespaces of the test's own."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING

import pytest

from kernel.laboratory import Namespace, connection, reaches
from mctld.errors import InvalidArgs
from mctld.macvlan import Macvlan
from mctld.network import kernel_settings
from mctld.network.host import Host
from mctld.networking import Network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mctld.network.connection import Connection

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace takes root")

LINK = Macvlan("uplink", IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1"))
LAN = Network("lan", "uplink", 0, IPv4Network("192.0.2.0/24"), IPv6Network("2001:db8::/64"), macvlan=LINK)


def on_link(container: str, number: int, network: Network = LAN, position: int = 0) -> Connection:
    return connection(container, number, network, position)


@pytest.fixture
def make() -> Iterator[Callable[[], Namespace]]:
    made: list[Namespace] = []

    def new() -> Namespace:
        made.append(Namespace())
        return made[-1]

    yield new
    for each in made:
        each.close()


@pytest.fixture
def outer(make: Callable[[], Namespace]) -> Namespace:
    """Stands for the host, which is on a link with `router`."""
    return make()


@pytest.fixture
def router(outer: Namespace, make: Callable[[], Namespace]) -> Namespace:
    made = make()
    outer.shell("ip link add uplink type veth peer name far")
    outer.shell(f"ip link set far netns /proc/{os.getpid()}/fd/{made.descriptor}")
    outer.shell("ip link set uplink up; ip addr add 192.0.2.7/24 dev uplink")
    outer.shell("ip addr add 2001:db8::7/64 dev uplink nodad")
    made.shell("ip link set lo up; ip link set far up; ip addr add 192.0.2.1/24 dev far")
    made.shell("ip addr add 2001:db8::1/64 dev far nodad")
    return made


@pytest.fixture
def host(outer: Namespace, router: Namespace, tmp_path: Path) -> Iterator[Host]:
    made: Host = outer.do(lambda: Host(str(tmp_path / "run/found")))
    yield made
    made.close()


def connected(outer: Namespace, host: Host, inside: Namespace, *there: Connection) -> None:
    outer.do(lambda: host.connect(there, inside.descriptor))


def answers(asking: Namespace, asked: Namespace, address: str) -> bool:
    try:
        return reaches(asking, asked, address)
    except OSError:
        return False


def test_neighbours_reach_it_and_the_host_does_not(
    outer: Namespace, router: Namespace, host: Host, make: Callable[[], Namespace]
) -> None:
    forwarding = outer.do(lambda: kernel_settings.read("ipv4/ip_forward"))  # as where this runs, at first
    first, second = make(), make()
    connected(outer, host, first, on_link("a", 9))
    connected(outer, host, second, on_link("b", 10))
    for address in ("192.0.2.9", "2001:db8::9"):
        assert reaches(router, first, address)
        assert reaches(second, first, address)
        assert not answers(outer, first, address)
    assert first.links()["eth0"]["address"] == "02:6d:c0:00:02:09"
    routes = first.shell("ip route; ip -6 route")
    assert "default via 192.0.2.1 dev eth0" in routes
    assert "default via 2001:db8::1 dev eth0" in routes
    assert {*outer.links()} == {"lo", "uplink"}
    assert outer.do(lambda: kernel_settings.read("ipv4/ip_forward")) == forwarding


def test_private_ones_do_not_reach_each_other(
    outer: Namespace, router: Namespace, host: Host, make: Callable[[], Namespace]
) -> None:
    private = replace(LAN, macvlan=replace(LINK, mode="private"))
    first, second = make(), make()
    connected(outer, host, first, on_link("a", 9, private))
    connected(outer, host, second, on_link("b", 10, private))
    assert reaches(router, first, "192.0.2.9")
    assert not answers(second, first, "192.0.2.9")


def test_without_an_ipv6_router_there_is_no_such_route(
    outer: Namespace, host: Host, make: Callable[[], Namespace]
) -> None:
    inside = make()
    connected(outer, host, inside, on_link("a", 9, replace(LAN, macvlan=replace(LINK, gateway6=None))))
    assert "default" not in inside.shell("ip -6 route")


def test_all_of_it_goes_whatever_it_is_called_now(
    outer: Namespace, host: Host, make: Callable[[], Namespace]
) -> None:
    """And not what has been made inside, nor the interfaces on bridges."""
    inside = make()
    connected(outer, host, inside, on_link("a", 9), connection("a", 9, position=1))
    inside.shell("ip link set eth0 down; ip link set eth0 name other; ip link add link eth1 name own type macvlan")
    outer.do(lambda: host.remove_inside(inside.descriptor, renamed=False))
    assert {*inside.links()} == {"lo", "other", "eth1", "own"}
    assert outer.do(lambda: host.remove_inside(inside.descriptor)) == ["other"]
    assert {*inside.links()} == {"lo", "eth1", "own"}


def test_what_is_kept_stays(outer: Namespace, host: Host, make: Callable[[], Namespace]) -> None:
    inside, second = make(), replace(LAN, name="second", subnet=IPv4Network("198.51.100.0/24"))
    connected(outer, host, inside, on_link("a", 9), on_link("a", 9, second, 1))
    assert outer.do(lambda: host.remove_inside(inside.descriptor, ["eth0"])) == ["eth1"]
    assert {*inside.links()} == {"lo", "eth0"}


def test_an_address_is_free_as_soon_as_it_is_removed(
    outer: Namespace, host: Host, make: Callable[[], Namespace]
) -> None:
    old, new = make(), make()
    connected(outer, host, old, on_link("a", 9))
    with pytest.raises(OSError, match="02:6d:c0:00:02:09 is in use on the interface uplink"):
        connected(outer, host, new, on_link("a", 9))
    outer.do(lambda: host.remove_inside(new.descriptor))
    outer.do(lambda: host.remove_inside(old.descriptor))
    connected(outer, host, new, on_link("a", 9))


def test_a_parent_that_is_not_there_and_one_that_goes(
    outer: Namespace, host: Host, make: Callable[[], Namespace]
) -> None:
    inside, away = make(), replace(LAN, interface="away")
    with pytest.raises(OSError, match="the interface away, on whose link it is, is not there"):
        connected(outer, host, inside, on_link("a", 9, away))
    connected(outer, host, inside, on_link("a", 9))
    outer.shell("ip link delete uplink")
    assert {*inside.links()} == {"lo"}
    assert outer.do(lambda: host.remove_inside(inside.descriptor)) == []


def test_what_is_disconnected_goes_though_no_other_way_is_left(
    outer: Namespace, host: Host, make: Callable[[], Namespace]
) -> None:
    inside, bridge = make(), connection("a", 9)
    there = on_link("a", 9, position=1)
    connected(outer, host, inside, bridge, there)
    outer.shell("ip link delete uplink")
    with pytest.raises(OSError, match="the interface eth1 is not there"):
        outer.do(lambda: host.disconnect(bridge, there, inside.descriptor))
    assert {*inside.links()} == {"lo"}
    assert bridge.link not in outer.links()


def test_a_link_for_one_alone(outer: Namespace, host: Host, make: Callable[[], Namespace]) -> None:
    alone = replace(LAN, macvlan=replace(LINK, mode="passthru"))
    connected(outer, host, make(), on_link("a", 9, alone))
    with pytest.raises(OSError, match="its link is a container's alone already"):
        connected(outer, host, make(), on_link("b", 10, alone))


def test_which_interfaces_can_be_a_parent(outer: Namespace, host: Host) -> None:
    outer.shell("ip link add bridge0 type bridge; ip link add port type veth peer name far2")
    outer.shell("ip link set port master bridge0")
    outer.do(lambda: host.check_free(LAN))
    outer.do(lambda: host.check_free(replace(LAN, interface="bridge0")))
    for name, sentence in (
        ("away", "this host has no such interface"),
        ("port", "is a port of another interface"),
        ("lo", "is no Ethernet interface"),
    ):
        with pytest.raises(InvalidArgs, match=sentence):
            outer.do(partial(host.check_free, replace(LAN, interface=name)))


def test_nothing_of_the_host_is_touched_when_the_network_goes(
    outer: Namespace, host: Host, make: Callable[[], Namespace]
) -> None:
    connected(outer, host, make(), on_link("a", 9))
    outer.do(lambda: host.remove(LAN, lambda: True))
    outer.do(lambda: host.take_down([LAN]))
    assert {*outer.links()} == {"lo", "uplink"}
