# SPDX-License-Identifier: GPL-3.0-or-later
"""A container in the host's network: it sees and uses it, with rights in it or without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Mctl

SCRIPT = """
ls /sys/class/net | tr '\\n' ' '; echo; ip -o link | wc -l
(echo hello | nc -l -p 8099) &
i=0; until nc -w 10 127.0.0.1 8099 </dev/null; do i=$((i+1)); [ $i -lt 300 ] || break; sleep .1; done
touch /sys/kernel/mm 2>/dev/null && echo written
ip link add spare type dummy 2>/dev/null && echo made
grep -c '^' /sys/fs/cgroup/cgroup.procs
"""


@pytest.mark.parametrize("ids", [[], ["--userns", "host"]], ids=["own-ids", "host-ids"])
def test_the_hosts_network(mctl: Mctl, ids: list[str]) -> None:
    links = mctl.shell("ls /sys/class/net").text.split()
    found = mctl.run("sh", "-c", SCRIPT, options=["--rm", "-q", "--network", "host", *ids]).text.splitlines()
    assert sorted(found[0].split()) == sorted(links)
    assert found[1] == str(len(links))
    assert found[2] == "hello"
    assert len(found) == 4
    assert int(found[3]) > 0
    sysctls = ["net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range"]
    assert mctl.shell(f"sysctl -n {' '.join(sysctls)}").text.split() != ["0", "0", "65535"]


def test_what_is_executed_later_is_there_too(mctl: Mctl) -> None:
    mctl.run("sleep", "1000", options=["-d", "--name", "one", "--network", "host"])
    host = mctl.shell("readlink /proc/self/ns/net").text
    assert mctl("exec", "one", "readlink", "/proc/self/ns/net").text == host
    found = mctl.properties("one")
    assert (found["HostNetwork"], found["Networks"]) == (True, [])
    refused = mctl("network", "connect", "bridge", "one", check=False)
    assert "bridge and --network host exclude each other" in refused.stderr.decode()
    mctl("restart", "-t", "0", "one")
    assert mctl("exec", "one", "readlink", "/proc/self/ns/net").text == host


def test_it_takes_an_administrator(mctl: Mctl, alice_may_create: None) -> None:
    refused = mctl("run", "--rm", "--network", "host", "/srv/alice", "true", user="alice", check=False)
    assert refused.returncode != 0
    assert "create-privileged" in refused.stderr.decode()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["-p", "80:80"], "80:80/tcp needs a network"),
        (["--ip", "172.20.0.9"], "needs a network"),
        (["--network", "bridge"], "--network host goes with no other"),
        (["--sysctl", "net.ipv4.ip_forward=0"], "would be the host's"),
    ],
)
def test_what_cannot_be(mctl: Mctl, options: list[str], sentence: str) -> None:
    refused = mctl.run("true", options=["--rm", "--network", "host", *options], check=False)
    assert sentence in refused.stderr.decode()
