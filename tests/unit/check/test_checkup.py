# SPDX-License-Identifier: GPL-3.0-or-later
"""All checks together: asked once for all who ask at once, told in words that stay as they are."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from dbus_next.signature import Variant

from mctld import chronicle
from mctld.errors import ADVICE, MctlError, SpawnerUnavailable
from mctld.lifecycle.check import checkup, promises
from mctld.lifecycle.check.checkup import Checkup
from mctld.lifecycle.check.finding import Finding, Verdict
from mctld.lifecycle.check.host import Host
from mctld.runtime import trial
from mctld.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NAMES = [
    "kernel", "system-calls", "namespaces", "userns", "ids", "cgroup", "cgroup.memory", "cgroup.cpu", "cgroup.cpuset",
    "cgroup.io", "cgroup.pids", "cgroup.hugetlb", "cgroup.io.weight",
    "swap", "cgroup.devices", "seccomp", "idmap", "overlay", "store", "space", "systemd",
    "spawner", "polkit", "journal", "journal.storage", "journal.namespaces", "network.bridge", "network.nftables",
    "network.forwarding", "network.routes", "network.firewall", "network.names", "network.macvlan", "network.sctp",
    "lsm", "dmesg", "tiocsti",
]  # fmt: skip


class FakeSpawner:
    understands = True

    def __init__(self, *, there: bool) -> None:
        self.there = there
        self.asked = 0

    async def answer(self) -> None:
        self.asked += 1
        await asyncio.sleep(0)
        if not self.there:
            raise SpawnerUnavailable("mctl-spawner.service cannot be reached")

    async def user_namespace(self, _ids: object) -> int:
        raise MctlError(f"no more namespaces; {ADVICE}")


class FakeStore:
    def examine(self) -> str:
        return "wrong # of entries in index"


class FakeNetworks:
    async def examine_names(self) -> tuple[str, dict[str, str]]:
        return "", {"172.20.0.1": "Address already in use"}

    def all(self) -> tuple[()]:
        return ()


class FakeMachinery:
    store, networks = FakeStore(), FakeNetworks()

    def __init__(self, directory: Path, *, spawner: bool) -> None:
        self.settings = Settings(state_directory=str(directory))
        self.spawner = FakeSpawner(there=spawner)


class FakeBus:
    """systemd answers, polkit does not."""

    async def call(
        self, destination: str, path: str, interface: str, member: str, signature: str = "", body: Sequence[Any] = ()
    ) -> list[Any]:
        assert (member, signature, interface) == ("Get", "ss", "org.freedesktop.DBus.Properties")
        if destination == "org.freedesktop.PolicyKit1":
            raise MctlError("Unit polkit.service is masked.")
        if body == ["org.freedesktop.systemd1.Unit", "ActiveState"]:
            assert path == "/org/freedesktop/systemd1/unit/mctl_2dnames_2esocket"
            return [Variant("s", "active")]
        assert (path, list(body)) == ("/org/freedesktop/systemd1", ["org.freedesktop.systemd1.Manager", "Version"])
        return [Variant("s", "257")]


def checked(directory: Path, *, spawner: bool) -> tuple[dict[str, Finding], FakeSpawner]:
    machinery = FakeMachinery(directory, spawner=spawner)

    async def ask() -> list[tuple[Finding, ...]]:
        made = Checkup(machinery, FakeBus(), Host(str(directory)))  # type: ignore[arg-type]
        return await asyncio.gather(*(made.findings() for _ in range(5)))

    first, *others = asyncio.run(ask())
    assert all(other is first for other in others)
    return {f.name: f for f in first}, machinery.spawner


@pytest.fixture
def untried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network namespace takes root."""
    monkeypatch.setattr(trial, "network", lambda: trial.Network("", None))
    monkeypatch.setattr(trial, "rules", lambda: "")


@pytest.mark.usefixtures("untried")
def test_all_ask_once_and_a_silent_peer_is_a_finding(tmp_path: Path) -> None:
    found, spawner = checked(tmp_path, spawner=False)
    assert list(found) == NAMES
    assert spawner.asked == 1
    assert found["spawner"].found == "mctl-spawner.service cannot be reached"
    assert found["polkit"].found == "it does not answer: Unit polkit.service is masked."
    assert found["systemd"].verdict is Verdict.OK
    assert found["userns"].verdict is Verdict.MISSING  # there is no /proc below this root
    assert found["idmap"].verdict is Verdict.UNKNOWN
    assert found["store"].found.endswith("state.db: wrong # of entries in index")
    assert found["cgroup"].verdict is Verdict.MISSING
    assert found["network.names"].found == "port 53 of 172.20.0.1: Address already in use"


@pytest.mark.usefixtures("untried")
def test_who_asks_later_gets_a_new_answer_and_waits_for_it(tmp_path: Path) -> None:
    machinery = FakeMachinery(tmp_path, spawner=False)

    async def ask() -> float:
        made = Checkup(machinery, FakeBus(), Host(str(tmp_path)))  # type: ignore[arg-type]
        first = await made.findings()
        before = asyncio.get_running_loop().time()
        assert await made.findings() is not first
        return asyncio.get_running_loop().time() - before

    assert asyncio.run(ask()) >= checkup.PAUSE - 0.01
    assert machinery.spawner.asked == 2


@pytest.mark.usefixtures("untried")
def test_a_spawner_that_makes_no_namespace(tmp_path: Path) -> None:
    (tmp_path / "proc/self/ns").mkdir(parents=True)
    (tmp_path / "proc/self/ns/user").touch()
    found, _ = checked(tmp_path, spawner=True)
    assert found["spawner"].verdict is Verdict.OK
    assert found["userns"].found == "one could not be made: no more namespaces"


def test_every_finding_has_its_texts(tmp_path: Path) -> None:
    for finding in promises.findings(Host(str(tmp_path))) + promises.findings(Host()):
        assert finding.found
        assert finding.meaning.endswith(".")
        assert finding.remedy or finding.verdict is not Verdict.MISSING


def test_features_are_what_is_not_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def everything(_host: Host) -> list[Finding]:
        names = ("kernel", "namespaces", "cgroup", "cgroup.memory", "userns")
        return [*(Finding(n, Verdict.OK, "", "") for n in names), Finding("seccomp", Verdict.MISSING, "", "")]

    monkeypatch.setattr(promises, "findings", everything)
    assert promises.features(Host(str(tmp_path))) == ("cgroup.memory", "idmap", "userns")


def test_what_is_lacking_is_noted_once_and_only_then(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[str, dict[str, Any]]] = []
    found = [Finding("userns", Verdict.WARNING, "", ""), Finding("kernel", Verdict.OK, "", "")]
    monkeypatch.setattr(promises, "findings", lambda _host: found)
    monkeypatch.setattr(chronicle, "send", lambda text, **fields: sent.append((text, fields)))
    promises.note_lacking()
    assert sent == []
    found += [Finding(name, Verdict.MISSING, "", "") for name in ("cgroup.io", "seccomp")]
    promises.note_lacking()
    ((text, fields),) = sent
    assert text.startswith("This host lacks cgroup.io, seccomp: `mctl check`")
    assert (fields["PRIORITY"], fields["MESSAGE_ID"]) == (4, promises.MESSAGE_LACKING.hex)
