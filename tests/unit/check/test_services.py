# SPDX-License-Identifier: GPL-3.0-or-later
"""Every verdict on those the service works with, and on networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mctld.lifecycle.check import network, services
from mctld.lifecycle.check.finding import Verdict
from mctld.lifecycle.check.host import Host, Room
from mctld.lifecycle.check.network import Forwarding
from mctld.lifecycle.check.services import PERSISTENT, VOLATILE, Journal

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("version", "verdict"),
    [
        ("257.9-1~deb13u1", Verdict.OK),
        ("252.39-1~deb12u1", Verdict.OK),
        ("251", Verdict.MISSING),
        ("v260", Verdict.UNKNOWN),
        ("", Verdict.UNKNOWN),
        (None, Verdict.MISSING),
    ],
)
def test_systemd(version: str | None, verdict: Verdict) -> None:
    assert services.systemd(version).verdict is verdict


def test_polkit() -> None:
    assert services.polkit("126", "").found == "version 126 answers"
    silent = services.polkit(None, "Unit polkit.service is masked.")
    assert silent.verdict is Verdict.MISSING
    assert silent.found == "it does not answer: Unit polkit.service is masked."


def test_spawner() -> None:
    assert services.spawner("", outdated=False).verdict is Verdict.OK
    assert services.spawner("", outdated=True).verdict is Verdict.MISSING
    gone = services.spawner("it cannot be reached", outdated=False)
    assert (gone.verdict, gone.found) == (Verdict.MISSING, "it cannot be reached")


def test_the_journal_is_reached() -> None:
    assert services.journal(Journal("", PERSISTENT, None)).verdict is Verdict.OK
    refused = services.journal(Journal("Connection refused", "", None))
    assert refused.verdict is Verdict.MISSING
    assert "Connection refused" in refused.found


@pytest.mark.parametrize(
    ("facts", "verdict", "says"),
    [
        (Journal("", PERSISTENT, Room(1 << 30, 1 << 31)), Verdict.OK, "1.0 GiB free"),
        (Journal("", PERSISTENT, None), Verdict.OK, PERSISTENT),
        (Journal("", PERSISTENT, Room(1 << 20, 1 << 31)), Verdict.WARNING, "1.0 MiB free"),
        (Journal("", VOLATILE, Room(1 << 30, 1 << 31)), Verdict.WARNING, "volatile"),
        (Journal("", "", None), Verdict.MISSING, "no journal files"),
    ],
)
def test_where_the_journal_is_kept(facts: Journal, verdict: Verdict, says: str) -> None:
    found = services.journal_storage(facts)
    assert found.verdict is verdict
    assert says in found.found


def test_where_the_journal_is_kept_is_read(tmp_path: Path) -> None:
    host, machine = Host(str(tmp_path)), "0123456789abcdef"
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/machine-id").write_text(f"{machine}\n")
    assert services.read_journal(host, "") == Journal("", "", None)
    for place in (PERSISTENT, VOLATILE):  # journald removes the second when it has begun with the first
        directory = tmp_path / place[1:] / machine
        directory.mkdir(parents=True)
        (directory / "system.journal").touch()
        found = services.read_journal(host, "no")
        assert (found.failure, found.directory) == ("no", place)
        assert found.room


def test_journals_of_users(tmp_path: Path) -> None:
    host = Host(str(tmp_path))
    assert services.journal_namespaces(host, wanted=False).verdict is Verdict.OK
    missing = services.journal_namespaces(host, wanted=True)
    assert (missing.verdict, missing.found) == (Verdict.WARNING, "systemd-journald@.service is not there")
    units = tmp_path / "usr/lib/systemd/system"
    units.mkdir(parents=True)
    (units / "systemd-journald@.service").touch()
    assert services.journal_namespaces(host, wanted=True).found == "they can be had"


def test_networks() -> None:
    assert network.bridge("").verdict is Verdict.OK
    assert "Package not installed" in network.bridge("Package not installed").found
    assert network.bridge("Package not installed").verdict is Verdict.MISSING
    assert network.nftables("").verdict is Verdict.OK
    assert network.nftables("not supported").verdict is Verdict.WARNING
    assert network.nftables(None).remedy.startswith("apt install nftables")
    assert network.macvlan("").verdict is network.sctp("").verdict is network.routes([]).verdict is Verdict.OK
    for found in (network.macvlan("Operation not supported"), network.sctp("Protocol not supported")):
        assert (found.verdict, "not supported" in found.found) == (Verdict.WARNING, True)
        assert found.remedy.startswith("modprobe ")
    overlap = network.routes(["172.20.5.0/24 (wg0) overlaps 172.20.0.0/16 of network bridge"])
    assert (overlap.verdict, "wg0" in overlap.found) == (Verdict.WARNING, True)


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        (Forwarding(on=True, writable=True), Verdict.OK),
        (Forwarding(on=True, writable=False), Verdict.OK),
        (Forwarding(on=False, writable=True), Verdict.OK),
        (Forwarding(on=False, writable=False), Verdict.WARNING),
        (Forwarding(on=None, writable=False), Verdict.UNKNOWN),
    ],
)
def test_forwarding(facts: Forwarding, verdict: Verdict) -> None:
    assert network.forwarding(facts).verdict is verdict


def test_forwarding_is_read(tmp_path: Path) -> None:
    host, file = Host(str(tmp_path)), tmp_path / network.FORWARDING[1:]
    assert network.read_forwarding(host) == Forwarding(on=None, writable=False)
    file.parent.mkdir(parents=True)
    for text, on in (("0\n", False), ("1\n", True)):
        file.write_text(text)
        assert network.read_forwarding(host) == Forwarding(on=on, writable=True)


def test_names() -> None:
    assert network.names("", {}).verdict is Verdict.OK
    silent = network.names("mctl-names.socket is inactive", {})
    assert (silent.verdict, "mctl-names.socket is inactive" in silent.found) == (Verdict.WARNING, True)
    taken = network.names("", {"172.20.0.1": "Address already in use", "10.90.0.1": "Permission denied"})
    assert taken.verdict is Verdict.WARNING
    assert taken.found == "port 53 of 10.90.0.1: Permission denied; port 53 of 172.20.0.1: Address already in use"
