# SPDX-License-Identifier: GPL-3.0-or-later
"""--network container:NAME: one network for two containers, as long as the first of them runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .test_network import ANSWER, KILLED
from .test_supervision import becomes

if TYPE_CHECKING:
    from .conftest import Mctl

FOUND = """
readlink /proc/self/ns/net; ip -o -4 addr show eth0 | tr -s ' '; ls /sys/class/net | tr '\\n' ' '; echo
cat /etc/resolv.conf; tail -n 1 /etc/hosts
ip link set lo down 2>/dev/null && echo changed
touch /sys/kernel/mm 2>/dev/null && echo written
true
"""
ASK = "i=0; until nc -w 1 127.0.0.1 7 </dev/null; do i=$((i+1)); [ $i -lt 300 ] || exit 1; sleep .1; done"


@pytest.fixture
def web(mctl: Mctl) -> str:
    mctl.run("sh", "-c", ANSWER, options=["-d", "--name", "web", "-p", "8077:8"])
    return str(mctl.properties("web")["Addresses"][0][1])


def test_one_network_for_two(mctl: Mctl, web: str) -> None:
    there = mctl("exec", "web", "readlink", "/proc/self/ns/net").text
    options = ["-d", "--name", "side", "--network", "container:web", "--cap-add", "ALL"]
    mctl.run("sh", "-c", "while :; do echo from the side | nc -l -p 8; done", options=options)
    found = mctl("exec", "side", "sh", "-c", FOUND).text
    assert found.startswith(there)
    assert f"inet {web}/16" in found
    assert "\neth0 lo \n" in found
    assert "nameserver 172.20.0.1\n" in found
    assert found.endswith(f"{web}\tside\n")
    assert "hello from web" in mctl("exec", "side", "sh", "-c", ASK).text
    again = "i=$((i+1)); [ $i -lt 300 ] || exit; sleep .1"
    reach = f"i=0; until busybox nc -w 1 127.0.0.1 8077 </dev/null; do {again}; done"
    assert mctl.shell(reach).text == "from the side\n"
    made = mctl.properties("side")
    assert (made["NetworkContainer"], made["Addresses"]) == (mctl.properties("web")["Id"], [])
    mctl.run("true", options=["--rm"])  # the spawner is where it was
    mctl("restart", "-t", "0", "side")
    assert mctl("exec", "side", "readlink", "/proc/self/ns/net").text == there


@pytest.mark.allow_journal(KILLED, "Container always could not be started again .*which is not running")
def test_it_ends_with_the_other_and_comes_back_with_it(mctl: Mctl, web: str) -> None:
    for name, options in (("once", []), ("always", ["--restart", "always"])):
        shared = ["-d", "--name", name, "--network", "container:web", "-t", *options]
        mctl.run("sh", "-c", "trap '' TERM; sleep 1000", options=[*shared, "--stop-timeout", "1"])
    mctl("restart", "-t", "0", "web")
    assert mctl.properties("web")["Addresses"][0][1] == web
    found = becomes(mctl, "once", State="exited")
    assert found["Warnings"] == ["it was stopped when container 'web' ended, whose network it has"]
    inside = mctl("exec", "web", "readlink", "/proc/self/ns/net").text
    joined = f"until mctl exec always readlink /proc/self/ns/net 2>/dev/null | grep -qF '{inside.strip()}'"
    mctl.shell(f"i=0; {joined}; do i=$((i+1)); [ $i -lt 150 ] || exit 1; sleep .1; done")
    (told,) = mctl.journal("MCTL_EVENT=network-lost", f"MCTL_CONTAINER_ID={mctl.properties('once')['Id']}")
    assert told["MESSAGE"] == "Container once is stopped: container web, whose network it has, has ended"
    mctl("start", "once")
    mctl.shell(f"kill -9 {mctl.service_pid()} {mctl.properties('web')['MainPID']}")
    becomes(mctl, "once", State="exited")
    mctl("stop", "-t", "0", "always")


def test_what_cannot_be(mctl: Mctl, web: str, alice_may_create: None) -> None:
    mctl.run("true", options=["--name", "gone", "--network", "container:web"])
    mctl.run("sleep", "100", options=["-d", "--name", "bare", "--network", "host"])
    for options, sentence in (
        (["--network", "container:none-such"], "--network container 'none-such': there is no such container of yours"),
        (["--network", "container:bare"], "container 'bare' has the host's network"),
        (["--network", "container:gone"], "has the network of container"),
        (["--network", "container:web", "--network", "bridge"], "goes with no other"),
        (["--network", "container:web", "-p", "80:80"], "needs a network"),
        (["--network", "container:web", "--ip", "172.20.0.9"], "needs a network"),
        (["--network", "container:web", "--network-alias", "x"], "--network-alias and --network container exclude"),
        (["--network", "container:web", "--sysctl", "net.ipv4.ip_forward=1"], "would be another's"),
        (["--network", "container:web", "--userns", "host"], "all rights in that network"),
        (["--network", "container:"], "names no container"),
    ):
        refused = mctl.run("true", options=["--rm", *options], check=False)
        assert sentence in refused.stderr.decode()
        assert refused.returncode in (2, 125)
    refused = mctl("run", "--rm", "--network", "container:web", "/srv/alice", "true", user="alice", check=False)
    assert "--network container 'web': there is no such container of yours" in refused.stderr.decode()
    refused = mctl("network", "connect", "bridge", "gone", check=False)
    assert "--network and --network container exclude each other" in refused.stderr.decode()
    mctl("rm", "-f", "web")
    refused = mctl("start", "gone", check=False)
    assert "which has been removed: make it anew" in refused.stderr.decode()
