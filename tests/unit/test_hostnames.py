# SPDX-License-Identifier: GPL-3.0-or-later
"""NAME.mctl on the host: what systemd-resolved is told of bridges and when, and what it is answered."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Any

import pytest

from mctld import network_settings
from mctld.errors import MctlError
from mctld.lifecycle import hostnames
from mctld.lifecycle.hostnames import HostNames
from mctld.lifecycle.tasks import Tasks
from mctld.names import message
from mctld.networking import Network
from mctld.systemd.resolved import NAME, Resolved
from unit.test_names import BOB, Told, asked_by, made

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

BRIDGE = Network("bridge", "mctl0", 0, IPv4Network("172.20.0.0/16"), IPv6Network("fd12::/64"))


class Bus:
    """With systemd-resolved on it, or without."""

    def __init__(self, *, there: bool = True) -> None:
        self.there = there
        self.calls: list[tuple[Any, ...]] = []
        self.fails = False
        self.changed: Callable[[str, list[Any]], None] = lambda _path, _body: None

    async def call(
        self, destination: str, path: str, interface: str, member: str, signature: str = "", body: Sequence[Any] = ()
    ) -> list[Any]:
        if member == "NameHasOwner":
            return [self.there]
        assert destination == NAME
        if self.fails:
            raise MctlError("Link mctl0 is managed.")
        self.calls.append((member, *body))
        return []

    async def on_signal(self, _sender: str, _interface: str, member: str, callback: Any) -> None:
        assert member == "NameOwnerChanged"
        self.changed = callback


@pytest.fixture
def indices(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Of the bridges that there are."""
    found = {"mctl0": 7}
    monkeypatch.setattr(hostnames, "_index", lambda network: found.get(network.interface, 0))
    return found


def opened(bus: Bus, *, wanted: bool = True) -> tuple[HostNames, Tasks]:
    tasks = Tasks()
    return HostNames(Resolved(bus), tasks, wanted=wanted), tasks


def test_each_bridge_is_told_once_and_anew_when_resolved_comes_back(indices: dict[str, int]) -> None:
    async def play() -> None:
        bus = Bus()
        names, tasks = opened(bus)
        for _ in range(2):
            names.offer([BRIDGE])
            await tasks.finish(5)
        assert bus.calls[:3] == [
            ("SetLinkDNS", 7, [[2, b"\xac\x14\x00\x01"]]),
            ("SetLinkDomains", 7, [["mctl", True]]),
            ("SetLinkDefaultRoute", 7, False),
        ]
        assert [call[0] for call in bus.calls].count("SetLinkDNS") == 1
        bus.changed("", [NAME, ":1.5", ""])
        bus.changed("", ["org.example", "", ":1.6"])
        bus.changed("", [NAME, "", ":1.7"])
        await tasks.finish(5)
        assert [call[0] for call in bus.calls].count("SetLinkDNS") == 2
        indices["mctl0"] = 9  # made anew
        names.offer([BRIDGE])
        await tasks.finish(5)
        assert ("SetLinkDomains", 9, [["mctl", True]]) in bus.calls

    asyncio.run(play())


@pytest.mark.parametrize("there", [True, False])
def test_a_bridge_that_is_gone_and_a_resolved_that_is_not_there(indices: dict[str, int], *, there: bool) -> None:
    async def play() -> None:
        bus = Bus(there=there)
        names, tasks = opened(bus)
        if there:
            indices.clear()
        names.offer([BRIDGE])
        await tasks.finish(5)
        assert bus.calls == []

    asyncio.run(play())


def test_who_does_not_want_it_has_it_taken_back(indices: dict[str, int]) -> None:
    async def play() -> None:
        bus = Bus()
        names, tasks = opened(bus, wanted=False)
        names.offer([BRIDGE])
        await tasks.finish(5)
        assert bus.calls == [("RevertLink", 7)]

    asyncio.run(play())


def test_a_refusal_is_told(indices: dict[str, int], caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        bus = Bus()
        bus.fails = True
        names, tasks = opened(bus)
        names.offer([BRIDGE])
        await tasks.finish(5)

    asyncio.run(play())
    assert "Link mctl0 is managed." in caplog.text


def test_the_setting(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert network_settings.read(str(tmp_path / "none"), "").host_names
    main = tmp_path / "mctld.conf"
    main.write_text("[Limits]\nContainersPerOwner=5\n[Network]\nHostNames=no\n")
    assert not network_settings.read(str(main), "").host_names
    (tmp_path / "a.conf").write_text("[Network]\nHostNames=yes\nHostNames=maybe\nOther=1\nHostNames\n")
    assert network_settings.read(str(main), f"{tmp_path}/a*.conf").host_names
    assert len(caplog.messages) == 3
    assert "a.conf:3: 'HostNames=maybe' is ignored: [Network] has HostNames=yes or no, and " in caplog.messages[0]


@pytest.mark.parametrize("value", ["172.20.0.0", "10.1.0.0/30", "8.8.8.0/24", "fd00::/64", ""])
def test_a_default_subnet_that_makes_no_sense(tmp_path: Path, caplog: pytest.LogCaptureFixture, value: str) -> None:
    main = tmp_path / "mctld.conf"
    main.write_text(f"[Network]\nDefaultSubnet=10.5.0.0/16\nDefaultSubnet={value}\n")
    assert str(network_settings.read(str(main), "").default_subnet) == "10.5.0.0/16"
    (told,) = caplog.messages
    assert f"mctld.conf:3: 'DefaultSubnet={value}' is ignored: Subnet" in told


def test_the_host_knows_containers_by_their_own_names() -> None:
    told = Told(
        a=replace(made("web www", 2, "n", "back"), hosted=True),
        b=replace(made("db", 3, "n", owner=BOB), hosted=True),
        c=made("hidden", 4, "n"),
    )
    host = "127.9.0.1"
    unknown: tuple[int, list[str]] = (message.NO_SUCH_NAME, [])
    assert told.ask(host, "web.mctl") == (0, ["10.9.110.2", "10.9.98.2"])
    assert told.ask("127.10.0.1", "DB.mctl.", message.AAAA) == (0, ["fd00::3"])
    assert [told.ask(host, name) for name in ("www.mctl", "hidden.mctl", "none.mctl", "a.web.mctl")] == [unknown] * 4
    for name in ("web", "mctl", "example.org"):
        assert told.ask(host, name) == (message.REFUSED, [])
    told.server._table.drop("a")
    assert told.ask(host, "web.mctl") == unknown
    assert told.upstream.asked == []


def test_aliases_of_a_connection_are_known_there_alone() -> None:
    b = made("db", 3, "n", "back")
    places = (b.places[0], replace(b.places[1], aliases=("Sql", "db")))
    told = Told(a=made("web", 2, "n", "back"), b=replace(b, places=places), c=made("front", 4, "n"))
    assert told.ask(asked_by(2), "sql") == (0, ["10.9.98.3"])
    assert told.ask(asked_by(4), "sql") == (message.NO_SUCH_NAME, [])
    told.server._table.drop("b")
    assert told.ask(asked_by(2), "sql") == (message.NO_SUCH_NAME, [])


def test_containers_learn_nothing_by_the_hosts_names() -> None:
    """The host's name servers may be systemd-resolved, which would ask us again, as the host."""
    told = Told(
        a=replace(made("web", 2, "n"), hosted=True),
        b=replace(made("db", 3, "n"), hosted=True),
        c=replace(made("secret", 4, "n", owner=BOB), hosted=True),
    )
    assert told.ask(asked_by(2), "db.mctl") == (0, ["10.9.110.3"])
    for kind in (message.A, 15):
        assert told.ask(asked_by(2), "secret.mctl", kind) == (message.NO_SUCH_NAME, [])
    assert told.upstream.asked == []
