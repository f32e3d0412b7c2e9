# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers on a link of the host's, whose other neighbour is the network namespace `outside`, the router there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from .test_network import KILLED
from .test_publishing import ask, outside, serve  # noqa: F401 (a fixture)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

LAN = (
    "-d", "macvlan", "--parent", "uplink", "--subnet", "192.0.2.0/24", "--gateway", "192.0.2.2",
    "--ip-range", "192.0.2.128/25", "--subnet", "2001:db8::/64", "--gateway", "2001:db8::2",
)  # fmt: skip
CYCLES = 30
GONE = "i=0; while {}; do i=$((i+1)); [ $i -lt 300 ] || exit 1; sleep .1; done"

pytestmark = pytest.mark.usefixtures("outside", "tidy")


@pytest.fixture
def tidy(mctl: Mctl) -> Iterator[None]:
    yield
    names = mctl("ps", "-a", "-q").text.split()
    if names:
        mctl("rm", "-f", *names)
    networks = set(mctl("network", "ls", "-q").text.split()) - {"bridge"}
    if networks:
        mctl("network", "rm", *networks)


@pytest.fixture
def lan(mctl: Mctl, outside: None) -> None:  # noqa: F811
    mctl("network", "create", *LAN, "lan")


def inspected(mctl: Mctl, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(mctl("network", "inspect", "--json=short", name).text)
    return found


def addresses(mctl: Mctl, name: str, network: str = "lan") -> list[str]:
    return next(found[1:] for found in mctl.properties(name)["Addresses"] if found[0] == network)


def refused(mctl: Mctl, *words: str, user: str | None = None) -> str:
    failed = mctl(*words, user=user, check=False)
    assert failed.returncode
    assert failed.stderr.count(b"\n") == 1
    return failed.stderr.decode()


def links(mctl: Mctl, name: str) -> set[str]:
    """The interfaces inside."""
    script = f"nsenter -t {mctl.properties(name)['MainPID']} -n ip -o link"
    return {line.split()[1].partition("@")[0].rstrip(":") for line in mctl.shell(script).text.splitlines()}


@pytest.mark.allow_journal(KILLED)
@pytest.mark.usefixtures("lan")
def test_neighbours_reach_it_whatever_becomes_of_the_service(mctl: Mctl) -> None:
    found = inspected(mctl, "lan")
    assert {key: found[key] for key in ("Driver", "Interface", "Mode", "Gateway", "AddressRange", "Shared")} == {
        "Driver": "macvlan", "Interface": "uplink", "Mode": "bridge", "Gateway": "192.0.2.2",
        "AddressRange": "192.0.2.128/25", "Shared": False,
    }  # fmt: skip
    assert "macvlan" in mctl("network", "ls").text
    serve(mctl, "web", "--network", "lan")
    ipv4, ipv6 = addresses(mctl, "web")
    assert ipv4.startswith("192.0.2.1")
    assert ipv6 == f"2001:db8::{int(ipv4.rpartition('.')[2]):x}"
    for _ in range(2):
        for address in (ipv4, ipv6):
            assert ask(mctl, address, 80) == "hello from web"
            script = f"nc -w 3 {address} 80 </dev/null"
            assert mctl.run("sh", "-c", script, options=["--rm", "-q", "--network", "lan"]).text == "hello from web\n"
        assert ask(mctl, ipv4, 80, "host") == ""
        mctl.kill_service()
        assert mctl.properties("web")["State"] == "running"
    routes = mctl("exec", "web", "ip", "route").text
    assert "default via 192.0.2.2 dev eth0" in routes
    assert mctl("exec", "web", "cat", "/sys/class/net/eth0/address").text.startswith("02:6d:c0:00:02:")
    (usage,) = json.loads(mctl("stats", "--no-stream", "--json=short", "web").text)
    assert usage["NetworkReceivedBytes"] > 0
    assert usage["NetworkSentPackets"] > 0


@pytest.mark.usefixtures("lan")
def test_it_can_be_restarted_at_once(mctl: Mctl) -> None:
    """Its hardware address is free again, though the kernel takes namespaces down later."""
    serve(mctl, "web", "--network", "lan", "--stop-timeout", "0")
    before = mctl("exec", "web", "cat", "/sys/class/net/eth0/address").text
    for _ in range(10):
        mctl("restart", "web")
    assert mctl("exec", "web", "cat", "/sys/class/net/eth0/address").text == before


@pytest.mark.usefixtures("lan")
def test_cycles_leave_nothing(mctl: Mctl) -> None:
    serve(mctl, "web", "--network", "lan")
    count = "ls /proc/$(systemctl show -P MainPID mctld.service)/fd | wc -l"
    before = int(mctl.shell(count).text)
    mctl.shell(
        f"for i in $(seq {CYCLES}); do mctl run --rm -q --network lan {mctl.rootfs} true || exit 1; done", timeout=300
    )
    mctl.shell(GONE.format(f"[ $({count}) -gt {before + 5} ]"))
    assert inspected(mctl, "lan")["Containers"] == 1
    assert refused(mctl, "network", "rm", "lan").startswith("mctl: network 'lan' is used by a container")
    mctl("rm", "-f", "web")
    mctl("network", "rm", "lan")
    assert "macvlan" not in mctl.shell("ip -d link").text


@pytest.mark.usefixtures("lan")
def test_no_port_is_published_past_the_host(mctl: Mctl) -> None:
    for verb in ("run", "create"):
        text = refused(mctl, verb, "--network", "lan", "-p", "8080:80", mctl.rootfs, "true")
        assert "leads out by network 'lan', a macvlan, which passes this host by: no port can be published" in text
    assert mctl("ps", "-a", "-q").text == ""
    serve(mctl, "web", "--network", "lan")
    assert "no port can be published" in refused(mctl, "port", "-p", "8080:80", "web")
    assert mctl("port", "web").text == ""
    serve(mctl, "both", "--network", "bridge", "--network", "lan", "-p", "8080:80")
    assert ask(mctl, "127.0.0.1", 8080, "host") == "hello from both"
    assert "publishes ports by network 'bridge'" in refused(mctl, "network", "disconnect", "bridge", "both")


@pytest.mark.usefixtures("lan")
def test_while_it_runs(mctl: Mctl) -> None:
    serve(mctl, "web")
    mctl("network", "connect", "--ip", "192.0.2.77", "lan", "web")
    assert ask(mctl, "192.0.2.77", 80) == "hello from web"
    assert links(mctl, "web") == {"lo", "eth0", "eth1"}
    mctl("network", "disconnect", "lan", "web")
    assert links(mctl, "web") == {"lo", "eth0"}
    assert ask(mctl, "192.0.2.77", 80) == ""
    mctl("network", "connect", "--ip", "192.0.2.77", "lan", "web")
    mctl("network", "disconnect", "bridge", "web")
    assert "default via 192.0.2.2" in mctl("exec", "web", "ip", "route").text
    assert ask(mctl, "192.0.2.77", 80) == "hello from web"


@pytest.mark.allow_journal(KILLED)
@pytest.mark.usefixtures("lan")
def test_what_a_crash_has_left_inside_is_removed(mctl: Mctl) -> None:
    serve(mctl, "web", "--network", "lan")
    serve(mctl, "other")
    for name in ("web", "other"):
        pid = mctl.properties(name)["MainPID"]
        mctl.shell(f"ip link add link uplink name eth5 netns {pid} type macvlan mode bridge")
    mctl.kill_service()
    mctl("ps")
    for name in ("web", "other"):
        assert links(mctl, name) == {"lo", "eth0"}
    assert ask(mctl, addresses(mctl, "web")[0], 80) == "hello from web"


@pytest.mark.allow_journal(KILLED)
@pytest.mark.usefixtures("lan")
def test_who_shares_it_keeps_nothing_of_it(mctl: Mctl) -> None:
    """Before and after a kill of the service: the interface goes with its container, and the address is free."""
    for turn in range(2):
        mctl.run("sleep", "1000", options=["-d", "--name", "web", "--network", "lan", "--ip", "192.0.2.77"])
        mctl.run("sleep", "1000", options=["-d", "--name", "guest", "--network", "container:web"])
        guest = mctl.properties("guest")["MainPID"]
        inside = f"nsenter -t {guest} -n ip -o link show eth0"
        assert "macvlan" in mctl.shell(inside.replace("-o", "-o -d")).text
        if turn:
            mctl.kill_service()
        mctl("rm", "-f", "web")
        mctl.shell(GONE.format(f"[ -e /proc/{guest} ] && {inside} >/dev/null 2>&1"))
        mctl.run("true", options=["--rm", "--network", "lan", "--ip", "192.0.2.77"])
        mctl("rm", "-f", "guest")


@pytest.mark.usefixtures("lan")
def test_names_are_known_where_there_is_a_bridge_too(mctl: Mctl) -> None:
    serve(mctl, "far", "--network", "lan")
    script = "nc -w 3 far 80 </dev/null"
    both = ["--rm", "-q", "--network", "bridge", "--network", "lan"]
    assert mctl.run("sh", "-c", script, options=both).text == "hello from far\n"
    assert mctl.run("sh", "-c", script, options=["--rm", "-q"], check=False).text == ""
    assert "172.20.0.1" not in mctl("exec", "far", "cat", "/etc/resolv.conf").text


@pytest.mark.usefixtures("lan")
def test_a_link_that_goes_away(mctl: Mctl) -> None:
    serve(mctl, "web", "--network", "lan", "--stop-timeout", "0")
    mctl.shell("ip link delete uplink")
    assert mctl.properties("web")["State"] == "running"
    assert links(mctl, "web") == {"lo"}
    failed = refused(mctl, "restart", "web")
    assert "connect to network lan" in failed
    assert "the interface uplink, on whose link it is, is not there" in failed
    mctl("rm", "-f", "web")
    mctl("network", "rm", "lan")
    mctl.shell("ip link add uplink type veth peer name eth0 netns outside")


@pytest.mark.usefixtures("lan")
def test_two_networks_on_one_link(mctl: Mctl) -> None:
    mctl("network", "create", "--driver", "macvlan", "-o", "parent=uplink", "--subnet", "198.51.100.0/24", "second")
    mctl.shell("ip -n outside addr add 198.51.100.1/24 dev eth0")
    serve(mctl, "web", "--network", "lan", "--network", "second")
    assert ask(mctl, addresses(mctl, "web")[0], 80) == "hello from web"
    assert ask(mctl, addresses(mctl, "web", "second")[0], 80) == "hello from web"


@pytest.mark.usefixtures("lan")
def test_roots_is_roots_unless_it_is_shared(mctl: Mctl, alice_may_create: None) -> None:
    run = ("run", "--rm", "--network", "lan", "/srv/alice", "true")
    assert "there is no network 'lan'" in refused(mctl, *run, user="alice")
    assert "lan" not in mctl("network", "ls", "-q", user="alice").text.split()
    mctl("network", "rm", "lan")
    mctl("network", "create", *LAN, "--shared", "lan")
    mctl(*run, user="alice")
    assert "network-admin" in refused(mctl, "network", "create", *LAN, "hers", user="alice")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--parent", "missing"], "--parent missing: this host has no such interface"),
        (["--parent", "mctl0"], "--parent mctl0 is not a link to other hosts"),
        (["--parent", "uplink", "-o", "mode=ipvlan"], "--mode 'ipvlan' is not known"),
        (["-o", "ipvlan_mode=l2"], "--opt 'ipvlan_mode=l2' is not known"),
        (["--parent", "uplink", "-o", "parent=uplink"], "another one was given already"),
        (["--parent", "uplink", "--gateway", "10.0.0.1"], "--gateway 10.0.0.1 is not the address of a host"),
        (["--parent", "uplink", "--internal"], "--internal and --driver macvlan exclude each other"),
        ([], "--driver macvlan needs --parent"),
    ],
)
def test_what_cannot_be(mctl: Mctl, words: list[str], sentence: str) -> None:
    text = refused(mctl, "network", "create", "-d", "macvlan", "--subnet", "192.0.2.0/24", *words, "lan")
    assert sentence in text
    assert "lan" not in mctl("network", "ls", "-q").text.split()
