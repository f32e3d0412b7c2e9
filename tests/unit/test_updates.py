# SPDX-License-Identifier: GPL-3.0-or-later
"""An update is whole or has not been: whichever step of it fails, everybody says the same as before."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from mctld.bounds import INFINITY
from mctld.change import Change
from mctld.errors import MctlError, SetupFailed, StoreFailed
from mctld.ids import Ids
from mctld.lifecycle import bootunit, cutoff, intent, limits
from mctld.lifecycle.container import Container
from mctld.lifecycle.lanes import Lanes
from mctld.limits import Limits
from mctld.runtime import cgroup, enforcement
from mctld.state import State
from mctld.store import Run, Store
from mctld.systemd import service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mctld.spec import Spec

MIB = 1 << 20
CHANGE = Change(limits={"memory_max": 8 * MIB}, rlimits=(("NOFILE", 5, 6),))


class Host:
    """A container that runs, what PID 1 and the kernel have of it, and a step that fails."""

    def __init__(self, directory: Path, store: Store, spec: Spec) -> None:
        self.fails = ""
        self.store = store
        self.memory = "max"
        self.looks = 0
        self.processes = 0  # how many times they were limited, but for those that were taken back
        self.told: list[tuple[str, ...]] = []
        events = SimpleNamespace(changed=lambda _, *names: self.told.append(names))
        quotas = SimpleNamespace(patience=lambda usec, _: usec)
        machinery = SimpleNamespace(
            store=store, systemd=self, events=events, looking=Lanes(2), controllers={"memory"},
            settings=SimpleNamespace(containers=str(directory / "containers"), quotas=quotas, health=""),
            keeping=SimpleNamespace(of=lambda *_: None),
        )  # fmt: skip
        self.machinery = cast("Any", machinery)
        record = store.add(identity="web", owner_uid=1000, created_usec=7, spec=spec)
        self.container = Container(record, Run(State.RUNNING), self.machinery, lambda *_: None)
        service.write_drop_in("web", bootunit.settings(self.machinery, record))

    def again(self) -> None:
        """The next instance of the service: it knows what is stored."""
        ((record, _),) = self.store.load()
        self.container = Container(record, Run(State.RUNNING), self.machinery, lambda *_: None)

    async def set_properties(self, _: str, properties: list[list[Any]]) -> None:
        for name, value in properties:
            if name == "MemoryMax":
                self.memory = "max" if value.value == INFINITY else str(value.value)

    async def reload(self) -> None:
        self.reach("reload")

    def reach(self, step: str) -> None:
        if step == self.fails:
            raise MctlError(f"no {step}")

    def limited(self, *_: object) -> Any:
        """In place of RunningLimits."""
        times = 0

        def apply() -> None:
            nonlocal times
            times += 1
            self.processes += 1
            self.looks += 1
            self.reach("first look" if self.looks == 1 else "second look")

        def undo() -> None:
            self.processes -= times
            self.reach("undo")

        return SimpleNamespace(apply=apply, undo=undo)

    def said(self) -> tuple[object, ...]:
        ((record, _),) = self.store.load()
        assert record.spec == self.container.spec
        return record.spec, service.read_drop_in("web"), self.memory, self.processes


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(str(tmp_path / "state.db"), Ids(1_000_000, 65_536, 4))
    yield made
    made.close()


@pytest.fixture
def host(tmp_path: Path, store: Store, make_spec: Callable[..., Spec], monkeypatch: pytest.MonkeyPatch) -> Host:
    group = tmp_path / "mctl.slice/mctl-u1000.slice/mctl-web.scope"
    group.mkdir(parents=True)
    for module in (cgroup, enforcement):
        monkeypatch.setattr(module, "HIERARCHY", f"{tmp_path}/")
    monkeypatch.setattr(cgroup, "CONTROLLERS", str(tmp_path))
    monkeypatch.setattr(service, "UNITS", str(tmp_path / "units"))
    host = Host(tmp_path, store, make_spec())

    def read(path: str) -> str:
        return host.memory if path.endswith("memory.max") else "0"

    monkeypatch.setattr(enforcement, "_read", read)
    monkeypatch.setattr(limits, "RunningLimits", host.limited)
    return host


def test_all_of_it_is_in_force_stored_and_told(host: Host) -> None:
    asyncio.run(host.container.update(CHANGE))
    spec, drop_in, memory, processes = host.said()
    assert spec == CHANGE.of(spec)  # type: ignore[arg-type]
    assert f"MemoryMax={8 * MIB}" in str(drop_in)
    assert (memory, processes) == (str(8 * MIB), 2)
    assert host.told == [("MemoryMax", "MemorySwapMax", "Rlimits")]


def full(*_: object) -> None:
    raise StoreFailed("no store")


def read_only(*_: object) -> None:
    raise SetupFailed("write the file", "no file")


@pytest.mark.parametrize("step", ["first look", "file", "reload", "second look", "store"])
def test_whichever_step_fails_nothing_has_changed(host: Host, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = host.said()
    host.fails = step
    if step == "store":
        monkeypatch.setattr(host.store, "amend", full)
    write = service.write_drop_in
    if step == "file":
        monkeypatch.setattr(service, "write_drop_in", read_only)
    with pytest.raises(MctlError, match=f"no {step.split()[0]}"):
        asyncio.run(host.container.update(CHANGE))
    monkeypatch.setattr(service, "write_drop_in", write)
    assert host.said() == before
    assert host.told == []


def test_what_could_not_be_taken_back_is_told(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.fails = "undo"
    monkeypatch.setattr(host.store, "amend", full)
    with pytest.raises(SetupFailed) as caught:
        asyncio.run(host.container.update(CHANGE))
    left = "what was changed before that could not be taken back: no undo"
    assert str(caught.value) == f"could not change container 'web': no store; {left}"
    assert host.said()[0] == host.container.spec
    assert host.container.spec.limits == Limits()
    assert host.memory == "max"  # the other steps still could


def test_what_is_executed_meanwhile_finds_what_is_in_force(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second look comes when the new ones are shown: who began before that is found, who begins later has them."""
    shown = []
    limited = host.limited

    def looking(*arguments: object) -> Any:
        made = limited(*arguments)

        def apply() -> None:
            shown.append(host.container.spec.security.rlimits)
            made.apply()

        return SimpleNamespace(apply=apply, undo=made.undo)

    monkeypatch.setattr(limits, "RunningLimits", looking)
    asyncio.run(host.container.update(CHANGE))
    assert shown == [(), CHANGE.rlimits]


class Killed(BaseException):
    """Of the service: nothing is undone any more."""


def cut_off(host: Host, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """As after a kill at that step: what was done is there, and what would be done afterwards is not."""

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as at:
        at.setattr("mctld.lifecycle.undoing.Undoing.__aexit__", nothing)
        at.setattr(intent, "drop", lambda *_: None)
        target = {"store": host.store, "file": service}[step]
        at.setattr(target, {"store": "amend", "file": "write_drop_in"}[step], kill)
        with pytest.raises(Killed):
            asyncio.run(host.container.update(CHANGE))


async def nothing(*_: object) -> None:
    pass


@pytest.mark.parametrize("step", ["file", "store"])
def test_what_a_crash_has_cut_off_never_was(host: Host, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    before = host.said()
    cut_off(host, monkeypatch, step)
    assert host.memory == str(8 * MIB)
    host.processes = 0  # what the next instance does with them is played in tests/machine
    host.again()
    asyncio.run(cutoff.end_all(host.machinery, [host.container]))
    assert host.said() == before
    host.memory = "as it is"
    asyncio.run(cutoff.end_all(host.machinery, [host.container]))  # once is enough
    assert host.memory == "as it is"


def test_what_was_stored_before_the_crash_stays(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as at:
        at.setattr(intent, "drop", lambda *_: None)
        asyncio.run(host.container.update(CHANGE))
    host.again()
    assert host.container.spec.security.rlimits == CHANGE.rlimits
    asyncio.run(cutoff.end_all(host.machinery, [host.container]))
    assert host.memory == str(8 * MIB)
