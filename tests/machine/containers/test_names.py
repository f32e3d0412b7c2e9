# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers find each other by name, and what is elsewhere as before, whatever becomes of those who see to it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from .test_network import KILLED
from .test_networks import tidy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

__all__ = ["tidy"]  # a fixture

# Answers every question with one address, from where the host's own name server would be.
ELSEWHERE = """
import socket
served = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
served.bind(("127.0.0.53", 53))
while True:
    data, sender = served.recvfrom(512)
    end = data.index(b"\\0", 12) + 5
    answer = bytes((192, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 53)) if data[end - 3] == 1 else b""
    head = data[:2] + bytes((129, 128, 0, 1, 0, bool(answer), 0, 0, 0, 0))
    served.sendto(head + data[12:end] + answer, sender)
"""


@pytest.fixture
def elsewhere(mctl: Mctl) -> Iterator[None]:
    """The host has a name server on its loopback, as with systemd-resolved."""
    mctl.shell("[ ! -e /etc/resolv.conf ] || mv /etc/resolv.conf /etc/resolv.kept")
    mctl.shell("echo nameserver 127.0.0.53 > /etc/resolv.conf")
    mctl.machine.run(["systemd-run", "-q", "--unit=elsewhere", "--", "python3", "-c", ELSEWHERE])
    mctl.shell("i=0; until ss -ulnH | grep -q 127.0.0.53:53; do i=$((i+1)); [ $i -lt 50 ]; sleep .1; done")
    yield
    mctl.shell("systemctl stop elsewhere; rm /etc/resolv.conf")
    mctl.shell("[ ! -e /etc/resolv.kept ] || mv /etc/resolv.kept /etc/resolv.conf")


def stay(mctl: Mctl, name: str, *options: str, user: str | None = None) -> str:
    rootfs = "/srv/alice" if user else mctl.rootfs
    mctl.run("sleep", "1000", options=["-d", "-q", "--name", name, *options], rootfs=rootfs, user=user)
    address: str = mctl.properties(name)["Addresses"][0][1]
    return address


def find(mctl: Mctl, asker: str, name: str) -> str:
    """The addresses that a C library gets, or nothing."""
    found = mctl("exec", asker, "nslookup", name, check=False).text
    answers = found.partition("\n\n")[2]
    return " ".join(line.split()[-1] for line in answers.splitlines() if line.startswith("Address"))


def names_pid(mctl: Mctl) -> str:
    return mctl.shell("systemctl show -P MainPID mctl-names.service").text.strip()


@pytest.mark.allow_journal(KILLED)
def test_names_on_networks(mctl: Mctl, tidy: None, elsewhere: None) -> None:
    for network in ("front", "back"):
        mctl("network", "create", network)
    mctl("network", "create", "--internal", "inner")
    db = stay(mctl, "db", "--network", "back", "--network-alias", "sql", "--network-alias", "db.example")
    stay(mctl, "web", "--network", "front", "--network", "back")
    stay(mctl, "edge", "--network", "front")
    stay(mctl, "cell", "--network", "inner")

    def all_is_well() -> None:
        for name in ("db", "sql", "db.example"):
            assert db in find(mctl, "web", name).split()
        assert mctl.properties("db")["Addresses"][0][2] in find(mctl, "web", "db").split()
        assert find(mctl, "edge", "web") != ""
        assert find(mctl, "edge", "db") == ""
        assert find(mctl, "edge", "www.example.org") == "192.0.2.53"
        assert find(mctl, "cell", "www.example.org") == ""
        assert find(mctl, "cell", "cell") != ""

    all_is_well()
    mctl.kill_service()
    all_is_well()
    before = names_pid(mctl)
    mctl.shell(f"kill -9 {before}; while [ $(systemctl show -P MainPID mctl-names.service) -le 0 ]; do sleep .1; done")
    assert names_pid(mctl) != before
    mctl("exec", "web", "sh", "-c", "i=0; until nslookup db || [ $i -gt 300 ]; do i=$((i+1)); sleep .1; done")
    all_is_well()
    mctl("stop", "-t", "0", "db")
    assert find(mctl, "web", "db") == ""
    mctl("start", "db")
    assert db in find(mctl, "web", "db").split()
    mctl("exec", "-d", "db", "sh", "-c", "echo hello | nc -l -p 7")
    script = "i=0; until nc -w 1 sql 7 </dev/null || [ $i -gt 300 ]; do i=$((i+1)); sleep .1; done"
    assert mctl("exec", "web", "sh", "-c", script).text == "hello\n"


def test_the_name_server_has_no_rights(mctl: Mctl) -> None:
    stay(mctl, "one")
    status = mctl.shell(f"cat /proc/{names_pid(mctl)}/status").text
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert "0" not in fields["Uid"].split()
    assert {fields[f"Cap{kind}"] for kind in ("Prm", "Eff", "Bnd")} == {"0000000000000400"}  # CAP_NET_BIND_SERVICE
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"


def test_owners_do_not_see_or_take_each_others_names(mctl: Mctl, tidy: None, alice_may_create: None) -> None:
    stay(mctl, "hers", "--network-alias", "db", user="alice")
    ours = stay(mctl, "ours", "--network-alias", "db")
    stay(mctl, "other", user="alice")
    assert find(mctl, "ours", "hers") == ""
    assert find(mctl, "other", "ours") == ""
    assert find(mctl, "ours", "db").split()[0] == ours
    assert find(mctl, "other", "db").split()[0] == mctl.properties("hers")["Addresses"][0][1]
    stray = mctl.shell("busybox nslookup ours $(ip -4 -o address show mctl0 | sed 's/.*inet //; s:/.*::')", check=False)
    assert ours not in stray.text


def test_what_is_asked_for_stands_in_resolv_conf(mctl: Mctl, elsewhere: None) -> None:
    options = ["--rm", "-q", "--dns", "127.0.0.53", "--dns-search", "one.example", "--dns-search", "two.example"]
    script = "cat /etc/resolv.conf; nslookup www.example.org"
    lines = mctl.run("sh", "-c", script, options=options).text.splitlines()
    assert lines[0].startswith("nameserver 172.20.0.1")
    assert "search one.example two.example" in lines
    assert "options ndots:0" in lines
    assert "Address: 192.0.2.53" in lines
    plain = mctl.run("cat", "/etc/resolv.conf", options=["--rm", "-q", "--network", "none", "--dns", "10.0.0.9"]).text
    assert plain.splitlines()[0] == "nameserver 10.0.0.9"
    refused = mctl.run("true", options=["--rm", "--network-alias", "a b"], check=False)
    assert "--network-alias 'a b' is not a host name" in refused.stderr.decode()


CHECK = "mctl check --json=short"
HOLD = """
import socket, time
held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
held.setsockopt(0, 15, 1)  # IP_FREEBIND
held.bind(("10.76.0.1", 53))
time.sleep(600)
"""


@pytest.mark.allow_journal("names are not answered on 10.76.0.1, port 53: Address already in use")
def test_a_port_that_another_has_and_a_masked_server_are_told(mctl: Mctl, tidy: None) -> None:
    def names() -> str:
        found: list[dict[str, str]] = json.loads(mctl("check", "--json=short", check=False).stdout)
        return next(finding["Found"] for finding in found if finding["Name"] == "network.names")

    mctl("network", "create", "--subnet", "10.76.0.0/24", "held")
    mctl.machine.run(["systemd-run", "-q", "--unit=held", "--", "python3", "-c", HOLD])
    mctl.shell("i=0; until ss -Hlun src 10.76.0.1:53 | grep -q .; do i=$((i+1)); [ $i -lt 50 ]; sleep .1; done")
    mctl("run", "-d", "--name", "one", "--network", "held", mctl.rootfs, "sleep", "1000")
    assert names() == "port 53 of 10.76.0.1: Address already in use"
    mctl.shell("systemctl stop held")
    mctl.shell(f"i=0; until {CHECK} | grep -q 'the name server is at hand'; do i=$((i+1)); [ $i -lt 20 ]; done")
    mctl("rm", "-f", "one")
    mctl.shell("systemctl stop mctl-names.socket mctl-names.service")
    assert names() == "mctl-names does not answer: mctl-names.socket is inactive"
    mctl.shell("systemctl start mctl-names.socket")
