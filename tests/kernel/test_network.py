# SPDX-License-Identifier: GPL-3.0-or-later
"""Bridges and links in network namespaces of the test's own: nothing of this host is touched."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from kernel.laboratory import NETWORK, SECOND, UPLINK, Namespace, connection, reaches
from mctld.errors import SubnetInUse
from mctld.network import kernel_settings, messages
from mctld.network.host import Host
from mctld.network.netconf import Netconf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace takes root")

@pytest.fixture
def outer() -> Iterator[Namespace]:
    """Stands for the host, as one is before it has containers; the kernel takes settings over from the real one."""
    made = Namespace()
    made.shell("sysctl -q -w net.ipv4.ip_forward=0")
    yield made
    made.close()


@pytest.fixture
def inner() -> Iterator[Namespace]:
    made = Namespace()
    yield made
    made.close()


@pytest.fixture
def host(outer: Namespace, tmp_path: Path) -> Iterator[Host]:
    made: Host = outer.do(lambda: Host(str(tmp_path / "run/found")))
    yield made
    made.close()


def addresses(link: dict[str, Any]) -> list[str]:
    return [f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"] if a["scope"] == "global"]


def test_a_container_gets_addresses_and_a_way_out(outer: Namespace, inner: Namespace, host: Host) -> None:
    there = connection("a", 9)
    outer.do(lambda: host.connect([there], inner.descriptor))
    eth0, bridge = inner.links()["eth0"], outer.links()["mctl0"]
    assert addresses(eth0) == ["172.20.0.9/16", "fd12:3456:789a::9/64"]
    assert addresses(bridge) == ["172.20.0.1/16", "fd12:3456:789a::1/64"]
    assert eth0["address"] == "02:6d:ac:14:00:09"
    assert {link["num_tx_queues"] for link in (eth0, outer.links()[there.link])} == {1}  # not one a processor
    assert {"UP", "LOWER_UP"} <= {*eth0["flags"]} & {*bridge["flags"]}
    routes = inner.shell("ip route; ip -6 route")
    assert "default via 172.20.0.1 dev eth0" in routes
    assert "default via fd12:3456:789a::1 dev eth0" in routes
    assert "alias container a" in outer.shell(f"ip link show {there.link}")
    assert inner.do(lambda: kernel_settings.read("ipv6/conf/eth0/accept_ra")) == "0"
    assert "tentative" not in inner.shell("ip -6 addr")
    assert outer.do(lambda: kernel_settings.read("ipv6/conf/mctl0/accept_ra")) == "0"
    assert reaches(outer, inner, "172.20.0.9")
    assert reaches(outer, inner, "fd12:3456:789a::9")


def test_several_networks(outer: Namespace, inner: Namespace, host: Host) -> None:
    outer.do(lambda: host.connect([connection("a", 2), connection("a", 7, SECOND, 1)], inner.descriptor))
    assert addresses(inner.links()["eth1"]) == ["10.89.0.7/24", "fd12:3456:789b::7/64"]
    assert inner.shell("ip route show default").split()[:5] == ["default", "via", "172.20.0.1", "dev", "eth0"]


def test_without_ipv6(outer: Namespace, inner: Namespace, host: Host) -> None:
    outer.do(lambda: kernel_settings.write("ipv6/conf/all/disable_ipv6", "1"))
    outer.do(lambda: host.connect([connection("a", 9)], inner.descriptor))
    assert addresses(inner.links()["eth0"]) == ["172.20.0.9/16"]
    assert addresses(outer.links()["mctl0"]) == ["172.20.0.1/16"]


def test_the_last_runs_link_is_no_hindrance(outer: Namespace, inner: Namespace, host: Host) -> None:
    earlier = Namespace()
    outer.do(lambda: host.connect([connection("a", 9)], earlier.descriptor))
    outer.do(lambda: host.connect([connection("a", 9)], inner.descriptor))
    assert "eth0" in inner.links()
    assert "eth0" not in earlier.links()
    earlier.close()


def test_the_last_runs_link_may_go_just_then(
    outer: Namespace, inner: Namespace, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel takes a namespace down when it finds the time: here between our two looks at its link."""
    earlier, delete = Namespace(), messages.delete_link
    outer.do(lambda: host.connect([connection("a", 9)], earlier.descriptor))

    def too_late(name: str) -> messages.Request:
        outer.shell(f"ip link delete {name}")
        return delete(name)

    monkeypatch.setattr(messages, "delete_link", too_late)
    outer.do(lambda: host.connect([connection("a", 9)], inner.descriptor))
    assert "eth0" in inner.links()
    earlier.close()


def test_a_lost_bridge_comes_back_with_its_links(outer: Namespace, inner: Namespace, host: Host) -> None:
    other = Namespace()
    outer.do(lambda: host.connect([connection("a", 9)], inner.descriptor))
    outer.shell("ip link delete mctl0")
    outer.do(lambda: host.connect([connection("b", 10)], other.descriptor))
    assert outer.links()[connection("a", 9).link]["master"] == "mctl0"
    assert reaches(outer, inner, "172.20.0.9")
    other.close()


def test_a_bridge_that_was_taken_down_is_raised(outer: Namespace, inner: Namespace, host: Host) -> None:
    other = Namespace()
    outer.do(lambda: host.connect([connection("a", 9)], inner.descriptor))
    outer.shell("ip link set mctl0 down")
    outer.do(lambda: host.connect([connection("b", 10)], other.descriptor))
    assert reaches(outer, inner, "172.20.0.9")
    assert reaches(outer, inner, "fd12:3456:789a::9")
    other.close()


@pytest.mark.parametrize("route", ["172.20.5.0/24", "172.16.0.0/12", "fd12:3456:789a::/48"])
def test_a_subnet_that_the_host_needs_is_refused(outer: Namespace, inner: Namespace, host: Host, route: str) -> None:
    outer.shell(f"{UPLINK}; ip route add {route} dev uplink")
    with pytest.raises(SubnetInUse, match=rf"has a route to {route} \(uplink\)"):
        outer.do(lambda: host.connect([connection("a", 9)], inner.descriptor))
    assert "mctl0" not in outer.links()


def test_default_routes_clash_with_nothing(outer: Namespace, inner: Namespace, host: Host) -> None:
    outer.shell(f"{UPLINK}; ip link set uplink mtu 1400")
    outer.shell("ip route add default dev uplink; ip route add 128.0.0.0/1 dev uplink")
    outer.do(lambda: host.connect([connection("a", 9)], inner.descriptor))
    assert inner.links()["eth0"]["mtu"] == 1400


@pytest.mark.parametrize(("mtu", "used"), [(1400, 1400), (1000, 1280)])
def test_the_narrowest_way_out_counts(outer: Namespace, inner: Namespace, host: Host, mtu: int, used: int) -> None:
    """Of all that there are: the host's own IPv4 may lead elsewhere than its IPv6, or nowhere."""
    outer.shell(f"{UPLINK}; ip link add tunnel mtu 1300 type veth peer name end; ip link set tunnel up")
    outer.shell(f"ip link set {'tunnel' if mtu < 1280 else 'uplink'} mtu {mtu}")
    outer.shell("ip route add default dev tunnel" if mtu < 1280 else "ip -6 route add default dev uplink")
    outer.do(lambda: host.connect([connection("a", 9)], inner.descriptor))
    assert inner.links()["eth0"]["mtu"] == used


def test_the_next_container_gets_as_much_when_all_have_gone(outer: Namespace, inner: Namespace, host: Host) -> None:
    """The kernel gives a bridge without ports 1500, unless somebody has said what it shall have."""
    outer.shell(f"{UPLINK}; ip link set uplink mtu 1400; ip route add default dev uplink")
    there = connection("a", 9)
    outer.do(lambda: host.connect([there], inner.descriptor))
    outer.shell(f"ip link delete {there.link}")
    assert outer.links()["mctl0"]["mtu"] == 1400
    outer.do(lambda: host.connect([there], inner.descriptor))
    assert inner.links()["eth0"]["mtu"] == 1400


def test_what_was_asked_for_counts_more(outer: Namespace, inner: Namespace, host: Host) -> None:
    outer.shell(f"{UPLINK}; ip link set uplink mtu 1400; ip route add default dev uplink")
    network = replace(NETWORK, mtu=9000)
    outer.do(lambda: host.connect([connection("a", 9, network)], inner.descriptor))
    assert inner.links()["eth0"]["mtu"] == outer.links()["mctl0"]["mtu"] == 9000


def test_another_interface_of_that_name_is_refused(outer: Namespace, inner: Namespace, host: Host) -> None:
    outer.shell("ip link add mctl0 type veth peer name far")
    with pytest.raises(SubnetInUse, match="needs the name mctl0"):
        outer.do(lambda: host.connect([connection("a", 9)], inner.descriptor))


def test_after_a_crash_links_of_nobody_go_and_those_of_others_stay(
    outer: Namespace, inner: Namespace, host: Host, tmp_path: Path
) -> None:
    other, kept, lost = Namespace(), connection("a", 9), connection("b", 10)
    outer.do(lambda: host.connect([kept], inner.descriptor))
    outer.do(lambda: host.connect([lost], other.descriptor))
    outer.shell("ip link add mctlish type veth peer name far; ip link delete mctl0")
    next_life: Host = outer.do(lambda: Host(str(tmp_path / "run/found")))
    assert outer.do(lambda: next_life.restore([kept])) == [lost.link]
    assert {"mctl0", "mctlish", kept.link} <= {*outer.links()}
    assert outer.links()[kept.link]["master"] == "mctl0"
    next_life.close()
    other.close()


def test_the_way_out_changes_before_the_interface_goes(
    outer: Namespace, inner: Namespace, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash in between leaves the container one."""
    first, second = connection("a", 9), connection("a", 7, SECOND, 1)
    outer.do(lambda: host.connect([first, second], inner.descriptor))
    assert "dev eth0" in inner.shell("ip route show default")
    with monkeypatch.context() as patched:
        patched.setattr(Host, "cut", None)
        with pytest.raises(TypeError):
            outer.do(lambda: host.disconnect(first, second, inner.descriptor))
    for family in ("-4", "-6"):
        (route,) = inner.shell(f"ip {family} route show default").splitlines()
        assert "dev eth1" in route
    outer.do(lambda: host.disconnect(first, second, inner.descriptor))
    assert first.link not in outer.links()


def test_forwarding_stays_on_for_whoever_came_meanwhile(outer: Namespace, inner: Namespace, host: Host) -> None:
    outer.do(lambda: host.connect([connection("a", 9)], inner.descriptor))
    outer.do(lambda: host.remove(SECOND, lambda: False))
    assert outer.do(lambda: kernel_settings.read("ipv4/ip_forward")) == "1"
    outer.do(lambda: host.remove(NETWORK, lambda: True))
    assert outer.do(lambda: kernel_settings.read("ipv4/ip_forward")) == "0"


@pytest.mark.parametrize("name", kernel_settings.FORWARDING)
def test_forwarding_that_is_switched_off_is_noticed_and_needed_while_somebody_is_there(
    outer: Namespace, inner: Namespace, host: Host, name: str
) -> None:
    there = connection("a", 9)
    news: Netconf = outer.do(Netconf)
    outer.do(lambda: host.connect([there], inner.descriptor))
    assert not news.has_closed()
    outer.do(lambda: kernel_settings.write(name.replace("all", "lo").replace("ip_forward", "conf/lo/forwarding"), "0"))
    assert not news.has_closed()
    assert not outer.do(host.reopen)
    outer.do(lambda: kernel_settings.write(name, "0"))
    assert news.has_closed()
    assert not news.has_closed()
    assert outer.do(host.reopen)
    assert outer.do(lambda: kernel_settings.read(name)) == "1"
    host.disconnected([there])
    outer.do(lambda: kernel_settings.write(name, "0"))
    assert not outer.do(host.reopen)
    assert outer.do(lambda: kernel_settings.read(name)) == "0"
    news.close()


def test_forwarding_is_on_again_when_the_service_comes_back(
    outer: Namespace, inner: Namespace, host: Host, tmp_path: Path
) -> None:
    outer.do(lambda: host.connect([connection("a", 9)], inner.descriptor))
    outer.do(lambda: kernel_settings.write("ipv4/ip_forward", "0"))
    next_life: Host = outer.do(lambda: Host(str(tmp_path / "run/found")))
    outer.do(lambda: next_life.restore([connection("a", 9)]))
    assert outer.do(lambda: kernel_settings.read("ipv4/ip_forward")) == "1"
    next_life.close()


def test_the_host_is_left_as_it_was_found(outer: Namespace, inner: Namespace, host: Host, tmp_path: Path) -> None:
    outer.shell("ip link add uplink type veth peer name managed")
    names = ["ipv4/ip_forward", "ipv6/conf/all/forwarding", "ipv6/conf/uplink/accept_ra", "ipv6/conf/managed/accept_ra"]
    read: Callable[[], list[str | None]] = lambda: [kernel_settings.read(name) for name in names]  # noqa: E731
    outer.do(lambda: kernel_settings.write("ipv6/conf/managed/accept_ra", "0"))
    assert outer.do(read) == ["0", "0", "1", "0"]
    outer.do(lambda: host.connect([connection("a", 9)], inner.descriptor))
    assert outer.do(read) == ["1", "1", "2", "0"]
    next_life: Host = outer.do(lambda: Host(str(tmp_path / "run/found")))
    outer.do(lambda: next_life.take_down([NETWORK, SECOND]))
    assert outer.do(read) == ["0", "0", "1", "0"]
    assert {*outer.links()} == {"lo", "uplink", "managed"}
    assert not (tmp_path / "run/found").exists()
    next_life.close()


def test_what_an_admin_has_set_since_stays(outer: Namespace, inner: Namespace, host: Host) -> None:
    outer.do(lambda: host.connect([connection("a", 9)], inner.descriptor))
    outer.do(lambda: kernel_settings.write("ipv4/ip_forward", "0"))
    outer.do(lambda: host.take_down([NETWORK]))
    assert outer.do(lambda: kernel_settings.read("ipv4/ip_forward")) == "0"
