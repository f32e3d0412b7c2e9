# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers reach the host and each other, before and after the service dies; nothing is left of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Mctl

KILLED = r"mctld\.service: (Failed with result 'signal'|Main process exited.*)"
ANSWER = "exec nc -ll -p 7 -e sh -c 'echo hello from $(hostname)'"  # and not one nc for each: it listens all the time
CYCLES = 200


def addresses(mctl: Mctl, name: str) -> tuple[str, str]:
    ((_, ipv4, ipv6),) = mctl.properties(name)["Addresses"]
    return ipv4, ipv6


def serve(mctl: Mctl, name: str, *options: str) -> tuple[str, str]:
    """A container that answers each connection to port 7."""
    mctl.run("sh", "-c", ANSWER, options=["-d", "--name", name, *options])
    ipv4, ipv6 = addresses(mctl, name)
    for address in (ipv4, ipv6):
        mctl.shell(f"i=0; until busybox nc -w 1 {address} 7 </dev/null; do i=$((i+1)); [ $i -lt 50 ]; sleep .1; done")
    return ipv4, ipv6


def answer(mctl: Mctl, name: str, address: str) -> str:
    """What the container `name` says to another container."""
    return mctl.run("sh", "-c", f"nc -w 3 {address} 7 </dev/null", options=["--rm", "-q"], check=False).text.strip()


def test_the_interface_inside(mctl: Mctl) -> None:
    found = mctl.run("sh", "-c", "ip -o addr show eth0; ip route; ip -6 route", options=["--rm", "--ip", "172.20.9.9"])
    assert "inet 172.20.9.9/16" in found.text
    assert "default via 172.20.0.1 dev eth0" in found.text
    assert "default via fd" in found.text


def test_no_network(mctl: Mctl) -> None:
    found = mctl.run("ip", "-o", "link", options=["--rm", "--network", "none"])
    assert [line.split()[1] for line in found.text.splitlines()] == ["lo:"]


@pytest.mark.allow_journal(KILLED)
def test_containers_and_host_reach_each_other_whatever_becomes_of_the_service(mctl: Mctl) -> None:
    speak = "busybox nc -ll -p 77 -e /bin/echo hello from the host >/dev/null 2>&1"
    mctl.shell(f"{speak} & echo $! >/run/answer")
    for turn in range(2):
        served = serve(mctl, f"server{turn}")
        for address in served:
            assert answer(mctl, "client", address) == f"hello from server{turn}"
            assert mctl.shell(f"busybox nc -w 3 {address} 7 </dev/null").text == f"hello from server{turn}\n"
        assert mctl.run("sh", "-c", "nc -w 3 172.20.0.1 77", options=["--rm", "-q"]).text == "hello from the host\n"
        mctl.kill_service()
        assert addresses(mctl, f"server{turn}") == served
        assert answer(mctl, "client", served[0]) == f"hello from server{turn}"
    mctl.shell("kill $(cat /run/answer); rm /run/answer", check=False)


def test_the_host_by_a_name(mctl: Mctl) -> None:
    """As docker has it: an address of the host's where its networks have one, and else a sentence."""
    name = ["--add-host", "host.docker.internal:host-gateway"]
    speak = "busybox nc -ll -p 77 -e /bin/echo hello from the host >/dev/null 2>&1"
    mctl.shell(f"{speak} & echo $! >/run/answer")
    mctl.until("ss -Hltn 'sport = :77' | grep .")
    ask = ("sh", "-c", "nc -w 3 host.docker.internal 77 </dev/null")
    assert mctl.run(*ask, options=["--rm", "-q", *name]).text == "hello from the host\n"
    mctl.shell("kill $(cat /run/answer); rm /run/answer", check=False)
    found = {
        network: mctl.run("cat", "/etc/hosts", options=["--rm", "-q", *name, "--network", network], check=False)
        for network in ("bridge", "host", "none")
    }
    assert "172.20.0.1\thost.docker.internal\n" in found["bridge"].text
    assert "127.0.0.1\thost.docker.internal\n" in found["host"].text
    assert found["none"].returncode == 125
    assert "host-gateway needs a network with an address of the host's" in found["none"].stderr.decode()
    assert mctl("ps", "-a", "-q").text == ""


def test_a_fixed_ipv6_address(mctl: Mctl) -> None:
    """It answers there, whatever its IPv4 address; nobody else gets it, and the errors name what was typed."""
    prefix = json.loads(mctl("network", "inspect", "bridge").text)["Subnet6"].removesuffix("/64")
    assert serve(mctl, "a", "--ip", "172.20.99.7", "--ip6", f"{prefix}BEEF") == ("172.20.99.7", f"{prefix}beef")
    assert answer(mctl, "client", f"{prefix}beef") == "hello from a"
    for address, sentence in ((f"{prefix}beef", "is in use"), (f"{prefix}1", "is not one that network 'bridge' gives")):
        refused = mctl.run("true", options=["--rm", "--ip6", address], check=False)
        assert refused.returncode == 125
        assert sentence in refused.stderr.decode()
        assert address in refused.stderr.decode()
    mctl("rm", "-f", "a")
    mctl.run("true", options=["--rm", "--ip6", f"{prefix}beef"])


def test_an_address_is_kept_until_the_container_is_removed(mctl: Mctl) -> None:
    mctl("create", "--name", "a", "--ip", "172.20.77.1", mctl.rootfs, "true")
    for _ in range(2):
        mctl("start", "a")
        assert addresses(mctl, "a")[0] == "172.20.77.1"
    refused = mctl.run("true", options=["--rm", "--ip", "172.20.77.1"], check=False)
    assert refused.returncode == 125
    assert "address 172.20.77.1 of network 'bridge' is in use" in refused.stderr.decode()
    mctl("rm", "-f", "a")
    mctl.run("true", options=["--rm", "--ip", "172.20.77.1"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--network", "missing"], ["there is no network 'missing'"]),
        (["--network", "No"], ["--network", "'No'", "1 to 63"]),
        (["--network", "none", "--network", "bridge"], ["none", "bridge"]),
        (["--network", "none", "--ip", "172.20.0.9"], ["172.20.0.9", "needs a network"]),
        (["--ip", "172.21.0.9"], ["172.21.0.9", "172.20.0.2 to 172.20.255.254"]),
        (["--ip", "172.20.0.1"], ["172.20.0.1", "172.20.0.2 to 172.20.255.254"]),
        (["--ip", "::1"], ["--ip", "'::1'"]),
        (["--ip6", "172.20.0.9"], ["--ip6", "'172.20.0.9'"]),
        (["--network", "none", "--ip6", "fd00::9"], ["--ip6", "fd00::9", "needs a network"]),
    ],
)
def test_what_cannot_be(mctl: Mctl, options: list[str], words: list[str]) -> None:
    result = mctl.run("true", options=options, check=False)
    text = result.stderr.decode()
    assert result.returncode == 125
    assert all(word in text for word in words), text
    assert text.count("\n") == 1
    assert mctl("ps", "-a", "-q").text == ""


def test_a_subnet_that_the_host_uses_is_refused(mctl: Mctl) -> None:
    mctl.shell("ip link delete mctl0; ip link add uplink type veth peer name far; ip link set uplink up")
    mctl.shell("ip route add 172.20.128.0/17 dev uplink")
    result = mctl.run("true", options=["--rm"], check=False)
    mctl.shell("ip link delete uplink")
    assert result.returncode == 125
    assert "has a route to 172.20.128.0/17 (uplink)" in result.stderr.decode()
    assert "set DefaultSubnet= in mctld.conf(5)" in result.stderr.decode()
    mctl.run("true", options=["--rm"])


def test_another_default_subnet(mctl: Mctl) -> None:
    setting = "mkdir -p /etc/mctl; printf '[Network]\\nDefaultSubnet=10.200.0.0/24\\n' >/etc/mctl/mctld.conf"
    mctl("network", "rm", "bridge")
    mctl.shell(f"{setting}; systemctl restart mctld.service")
    found = mctl.run("ip", "route", options=["--rm", "-q"]).text
    mctl("network", "rm", "bridge")
    mctl.shell("rm /etc/mctl/mctld.conf; systemctl restart mctld.service")
    assert "default via 10.200.0.1 dev eth0" in found
    assert "172.20." in mctl.run("ip", "route", options=["--rm", "-q"]).text


@pytest.mark.allow_journal(KILLED)
def test_a_link_that_a_crash_has_left_behind_is_removed(mctl: Mctl) -> None:
    mctl.shell("ip link add mctl0123456789 type veth peer name mctlabcdef0123")
    mctl.kill_service()
    mctl.run("true", options=["--rm"])
    assert "mctl0123456789" not in mctl.shell("ip link").text


def test_cycles_leave_no_link_and_no_address(mctl: Mctl) -> None:
    script = f"for i in $(seq {CYCLES}); do mctl run --rm -q {mctl.rootfs} true || exit 1; done"
    mctl.shell(script, timeout=300)
    mctl.shell("i=0; while ip -o link | grep -q ': mctl[0-9a-f]\\{10\\}'; do i=$((i+1)); [ $i -lt 50 ]; sleep .1; done")
    code = "import sqlite3; print(*sqlite3.connect('/var/lib/mctl/state.db').execute('SELECT * FROM lease'))"
    assert mctl.machine.run(["python3", "-c", code]).text.strip() == ""


def test_many_at_once_get_addresses_of_their_own(mctl: Mctl) -> None:
    mctl.shell(f"for i in $(seq 50); do mctl run -d -q --name c$i {mctl.rootfs} sleep 100 & done; wait", timeout=120)
    listed = json.loads(mctl("ps", "--json=short").text)
    assert len(listed) == 50
    assert len({c["Addresses"][0][1] for c in listed}) == 50
    ports = mctl.shell("ip -o link show master mctl0 up | wc -l").text
    assert int(ports) >= 50
