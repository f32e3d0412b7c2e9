# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks of one's own: apart from each other, several for one container, and gone without a trace."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from .test_network import KILLED, answer
from .test_network import serve as serve_on_bridge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl


@pytest.fixture
def tidy(mctl: Mctl) -> Iterator[None]:
    yield
    names = mctl("ps", "-a", "-q").text.split()
    if names:
        mctl("rm", "-f", *names)
    networks = set(mctl("network", "ls", "-q").text.split()) - {"bridge"}
    if networks:
        mctl("network", "rm", *networks)


def networks(mctl: Mctl) -> dict[str, dict[str, object]]:
    return {network["Name"]: network for network in json.loads(mctl("network", "ls", "--json=short").text)}


def serve(mctl: Mctl, name: str, network: str) -> str:
    """It listens all the time: one that begins anew for each would now and then refuse the next."""
    script = "exec nc -ll -p 7 -e sh -c 'echo hello from $(hostname)'"
    mctl.run("sh", "-c", script, options=["-d", "--name", name, "--network", network])
    address: str = mctl.properties(name)["Addresses"][0][1]
    mctl.shell(f"i=0; until busybox nc -w 1 {address} 7 </dev/null; do i=$((i+1)); [ $i -lt 50 ]; sleep .1; done")
    return address


def ask(mctl: Mctl, address: str, *nets: str) -> str:
    options = [word for net in nets for word in ("--network", net)]
    script = f"nc -w 2 {address} 7 </dev/null"
    return mctl.run("sh", "-c", script, options=["--rm", "-q", *options], check=False).text.strip()


def test_how_large_packets_may_be(mctl: Mctl, tidy: None) -> None:
    """As was asked for, also when all have left the network meanwhile."""
    mctl("network", "create", "-o", "com.docker.network.driver.mtu=1400", "narrow")
    assert networks(mctl)["narrow"]["MTU"] == 1400
    for _ in range(2):
        found = mctl.run("cat", "/sys/class/net/eth0/mtu", options=["--rm", "--network", "narrow"])
        assert found.text == "1400\n"
    refused = mctl("network", "create", "--mtu", "1279", "wide", check=False)
    assert "--mtu 1279 is not possible: take 1280 to 65535 bytes" in refused.stderr.decode()


@pytest.mark.allow_journal(KILLED)
def test_networks_are_apart_and_a_container_may_have_several(mctl: Mctl, tidy: None) -> None:
    assert mctl("network", "create", "front").text == "front\n"
    mctl("network", "create", "--subnet", "10.77.0.0/24", "back")
    found = networks(mctl)
    assert found["back"]["Subnet"] == "10.77.0.0/24"
    assert str(found["front"]["Subnet"]).startswith("10.90.")
    serve(mctl, "server", "back")
    for _ in range(2):
        for address in mctl.properties("server")["Addresses"][0][1:]:
            assert ask(mctl, address, "back") == "hello from server"
            assert ask(mctl, address, "front", "back") == "hello from server"
            assert ask(mctl, address, "front") == ""
            assert ask(mctl, address, "bridge") == ""
        mctl.kill_service()
        assert networks(mctl)["back"]["Containers"] == 1
    mctl.run("true", options=["--rm"])


def test_nothing_is_left_of_a_network(mctl: Mctl, tidy: None) -> None:
    mctl("network", "create", "gone")
    interface = networks(mctl)["gone"]["Interface"]
    mctl.run("true", options=["--rm", "--network", "gone"])
    assert str(interface) in mctl.shell("ip link; nft list table inet mctl").text
    assert mctl("network", "rm", "gone").text == "gone\n"
    assert str(interface) not in mctl.shell("ip link; nft list table inet mctl").text
    assert "gone" not in networks(mctl)


def test_prune_keeps_what_is_used(mctl: Mctl, tidy: None) -> None:
    for name in ("used", "unused"):
        mctl("network", "create", name)
    mctl("create", "--name", "user", "--network", "used", mctl.rootfs, "true")
    refused = mctl("network", "rm", "used", check=False)
    assert (refused.returncode, "is used by a container" in refused.stderr.decode()) == (1, True)
    assert mctl("network", "prune", "-f").text.split() == ["unused"]
    assert "used" in networks(mctl)


def test_a_network_that_has_no_address_left(mctl: Mctl, tidy: None) -> None:
    """Whoever comes then is told so and leaves nothing; who goes makes room."""
    mctl("network", "create", "--subnet", "10.77.9.0/29", "tiny")
    options = ["-d", "-q", "--network", "tiny"]
    for number in range(5):
        mctl.run("sleep", "1000", options=[*options, "--name", f"c{number}"])
    assert len({mctl.properties(f"c{number}")["Addresses"][0][1] for number in range(5)}) == 5
    refused = mctl.run("true", options=["--network", "tiny", "--name", "late"], check=False)
    assert refused.returncode == 125
    told = "all 5 addresses of network 'tiny' (10.77.9.0/29) are in use: remove a container, or use another network"
    assert refused.stderr.decode() == f"mctl: {told}\n"
    assert "late" not in mctl("ps", "-a", "--format", "{{.Name}}").text
    mctl("rm", "-f", "c3")
    mctl.run("true", options=["--rm", "--network", "tiny", "--name", "late"])


def test_an_internal_network_has_no_way_out(mctl: Mctl, tidy: None) -> None:
    mctl("network", "create", "--internal", "inner")
    elsewhere, _ = serve_on_bridge(mctl, "elsewhere")
    address = serve(mctl, "server", "inner")
    assert ask(mctl, address, "inner") == "hello from server"
    assert ask(mctl, elsewhere, "inner") == ""
    assert answer(mctl, "client", elsewhere) == "hello from elsewhere"
    routes = mctl.run("ip", "route", options=["--rm", "-q", "--network", "inner"]).text
    assert "default" not in routes
    refused = mctl.run("true", options=["--rm", "--network", "inner", "-p", "8080:80"], check=False)
    assert "has no network with a way in" in refused.stderr.decode()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["create", "bridge"], "network name 'bridge' is taken"),
        (["create", "Up"], "1 to 63"),
        (["create", "none"], "would be mistaken for a word"),
        (["create", "--subnet", "172.20.5.0/24", "clash"], "overlaps 172.20.0.0/16 of network 'bridge'"),
        (["create", "--subnet", "10.0.0.0", "small"], "/8 to /29"),
        (["create", "--subnet", "nonsense", "bad"], "is not an IPv4 subnet"),
        (["rm", "missing"], "there is no network 'missing'"),
        (["inspect", "missing"], "there is no network 'missing'"),
        (["frobnicate"], "'frobnicate' is not known"),
        (["ls", "--subnet", "x"], "network ls takes no --subnet"),
        (["create"], "needs a name"),
    ],
)
def test_what_cannot_be(mctl: Mctl, tidy: None, words: list[str], sentence: str) -> None:
    mctl.run("true", options=["--rm"])
    refused = mctl("network", *words, check=False)
    assert refused.returncode in (1, 125)
    assert sentence in refused.stderr.decode()
    assert refused.stderr.count(b"\n") == 1


def test_a_subnet_that_the_host_uses(mctl: Mctl, tidy: None) -> None:
    mctl.shell("ip link add uplink type veth peer name far; ip link set uplink up")
    mctl.shell("ip route add 10.78.0.0/16 dev uplink")
    refused = mctl("network", "create", "--subnet", "10.78.9.0/24", "clash", check=False)
    mctl.shell("ip link delete uplink")
    assert "has a route to 10.78.0.0/16 (uplink)" in refused.stderr.decode()
    assert "clash" not in networks(mctl)


def test_users_see_and_use_roots_networks_but_do_not_make_any(
    mctl: Mctl, tidy: None, alice_may_create: None
) -> None:
    mctl("network", "create", "shared")
    assert "shared" in mctl("network", "ls", "-q", user="alice").text.split()
    mctl("run", "--rm", "--network", "shared", "/srv/alice", "true", user="alice")
    refused = mctl("network", "create", "hers", user="alice", check=False)
    assert "network-admin" in refused.stderr.decode()
    refused = mctl("network", "rm", "shared", user="alice", check=False)
    assert refused.returncode == 1
    assert "shared" in networks(mctl)


@pytest.mark.qemu
def test_udev_has_little_to_do_for_a_container(mctl: Mctl) -> None:
    """Its end of a network gets no systemd-sysctl of its own, which other interfaces do get."""
    made, setting = "/run/sysctl.d/50-late.conf", "/proc/sys/net/ipv4/conf/{}/log_martians"
    mctl.shell(f"mkdir -p {made[:-13]}; echo 'net.ipv4.conf.*.log_martians = 1' > {made}")
    try:
        mctl.shell("ip link add control type veth peer name other")
        mctl.run("sleep", "1000", options=["-d", "--name", "web"])
        mctl.until("[ $(ls -d /sys/class/net/mctl?????????? | wc -l) = 1 ]")  # another test's may take its time to go
        link = mctl.shell("cd /sys/class/net; echo mctl??????????").text.strip()
        mctl.until(f"udevadm settle; [ $(cat {setting.format('control')}) = 1 ]")
        assert mctl.shell(f"cat {setting.format(link)}").text == "0\n"
    finally:
        mctl.shell(f"ip link delete control; rm {made}")
