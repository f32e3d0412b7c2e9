# SPDX-License-Identifier: GPL-3.0-or-later
"""Which spawner bears and which is asked, with spawners and a systemd that are played."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from mctld import VERSION
from mctld.errors import SpawnerUnavailable
from mctld.lifecycle import spawners
from mctld.lifecycle.spawners import Spawners
from mctld.lifecycle.tasks import Tasks
from mctld.runtime.launch import Status
from mctld.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

OURS, OLD = VERSION, "0.0.1"


class Process:
    """A spawner as systemd runs it: whose parent it is, and whose end it remembers."""

    def __init__(self, version: str, *children: str) -> None:
        self.version = version
        self.children = dict.fromkeys(children, 7)
        self.running = set(children)


class Host:
    """The units, by name without suffix, and what was done to them."""

    def __init__(self, directory: Path, **processes: Process) -> None:
        self.directory = directory
        self.units = {name.replace("home", "mctl-spawner"): process for name, process in processes.items()}
        self.done: list[str] = []

    def other(self, version: str, process: Process) -> Host:
        self.units[f"mctl-spawner@{version}"] = process
        (self.directory / f"spawner@{version}.sock").touch()
        return self

    async def start(self, unit: str) -> None:
        self.done.append(f"start {unit}")
        self.other(unit.removesuffix(".socket").partition("@")[2], Process(OURS))

    async def stop(self, unit: str) -> None:
        self.done.append(f"stop {unit}")
        self.units.pop(unit.rpartition(".")[0], None)

    async def restart(self, unit: str) -> None:
        self.done.append(f"restart {unit}")
        assert not self.units["mctl-spawner"].children
        self.units["mctl-spawner"] = Process(OURS)


class Link:
    """In place of launch.Spawner."""

    host: Host

    def __init__(self, _path: str, unit: str) -> None:
        self.unit = unit.removesuffix(".service")
        self.outdated = False
        self.understands = True

    @property
    def process(self) -> Process:
        if self.unit not in self.host.units:
            raise SpawnerUnavailable(f"{self.unit}.service cannot be reached")
        return self.host.units[self.unit]

    async def connect(self) -> dict[str, int]:
        await asyncio.sleep(0)
        self.outdated = self.process.version != OURS
        return dict(self.process.children)

    async def spawn(self, name: str, *_: object) -> str:
        await asyncio.sleep(0.01)
        self.process.children[name] = 8
        self.process.running.add(name)
        return self.unit

    async def status(self, name: str) -> Status:
        return Status(self.process.children.get(name))

    async def forget(self, name: str) -> None:
        if name not in self.process.running:
            self.process.children.pop(name, None)

    def close(self) -> None: ...


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Host]:
    def played(work: Callable[[Spawners, Host], Awaitable[Any]], home: Process, **others: Process) -> Host:
        host = Host(tmp_path, home=home)
        for version, process in others.items():
            host.other(version.replace("_", "."), process)
        monkeypatch.setattr(Link, "host", host, raising=False)
        monkeypatch.setattr(spawners, "Spawner", Link)

        async def conduct() -> None:
            tasks = Tasks()
            made = Spawners(Settings(runtime_directory=str(tmp_path)), host, tasks)  # type: ignore[arg-type]
            await work(made, host)
            await tasks.finish(1)

        asyncio.run(conduct())
        return host

    return played


async def ends(made: Any, host: Host, unit: str, name: str) -> None:
    host.units[unit].running.discard(name)
    await made.forget(name)
    await asyncio.sleep(0.05)


def test_one_of_our_version_is_left_alone(play: Callable[..., Host]) -> None:
    async def work(made: Any, _: Host) -> None:
        assert await made.connect() == {"a": 7}
        await made.renew()
        assert await made.spawn("b", 0, None, None) == "mctl-spawner"

    assert play(work, Process(OURS, "a")).done == []


def test_an_old_one_without_children_is_replaced(play: Callable[..., Host]) -> None:
    async def work(made: Any, _: Host) -> None:
        assert await made.connect() == {}
        await made.renew()

    assert play(work, Process(OLD)).done == ["restart mctl-spawner.service"]


def test_an_old_one_keeps_its_children_until_the_last_has_ended(play: Callable[..., Host]) -> None:
    async def work(made: Any, host: Host) -> None:
        await made.connect()
        await made.renew()
        assert await made.spawn("new", 0, None, None) == f"mctl-spawner@{OURS}"
        assert (await made.status("a")).pid == 7
        await ends(made, host, "mctl-spawner", "a")
        assert host.units["mctl-spawner"].version == OLD
        await ends(made, host, "mctl-spawner", "b")
        assert host.units["mctl-spawner"].version == OURS
        assert (await made.status("new")).pid == 8  # the second one goes on for it
        assert await made.spawn("newer", 0, None, None) == "mctl-spawner"
        await ends(made, host, f"mctl-spawner@{OURS}", "new")

    host = play(work, Process(OLD, "a", "b"))
    second = f"mctl-spawner@{OURS}"
    assert host.done == [
        f"start {second}.socket", "restart mctl-spawner.service", f"stop {second}.socket", f"stop {second}.service",
    ]  # fmt: skip


def test_a_second_one_without_children_ends_when_the_first_takes_over(play: Callable[..., Host]) -> None:
    async def work(made: Any, host: Host) -> None:
        await made.connect()
        await made.renew()
        await ends(made, host, "mctl-spawner", "a")

    assert play(work, Process(OLD, "a")).done[-1] == f"stop mctl-spawner@{OURS}.service"


def test_who_was_forgotten_too_early_is_still_found_where_it_is(play: Callable[..., Host]) -> None:
    async def work(made: Any, host: Host) -> None:
        await made.connect()
        await made.renew()
        await made.spawn("new", 0, None, None)
        await made.forget("new")  # it runs, so nothing comes of that
        await ends(made, host, "mctl-spawner", "a")
        assert host.units["mctl-spawner"].version == OURS
        assert (await made.status("new")).pid == 8

    play(work, Process(OLD, "a"))


def test_a_start_that_is_under_way_holds_its_spawner(play: Callable[..., Host]) -> None:
    async def work(made: Any, host: Host) -> None:
        await made.connect()
        await made.renew()
        starting = asyncio.create_task(made.spawn("new", 0, None, None))
        await asyncio.sleep(0.001)
        host.units["mctl-spawner"].running.discard("a")
        await made.forget("a")
        assert await starting == f"mctl-spawner@{OURS}"
        await asyncio.sleep(0.05)
        assert host.units[f"mctl-spawner@{OURS}"].children == {"new": 8}

    assert f"stop mctl-spawner@{OURS}.service" not in play(work, Process(OLD, "a")).done


def test_all_are_found_again_and_those_that_are_done_end(play: Callable[..., Host]) -> None:
    async def work(made: Any, host: Host) -> None:
        assert await made.connect() == {"a": 7, "c": 7}
        await made.renew()
        await asyncio.sleep(0.05)
        assert set(host.units) == {"mctl-spawner", "mctl-spawner@0.0.2"}

    host = play(work, Process(OURS, "a"), **{"0_0_1": Process(OLD), "0_0_2": Process("0.0.2", "c")})
    assert host.done == ["stop mctl-spawner@0.0.1.socket", "stop mctl-spawner@0.0.1.service"]


def test_of_two_runs_of_one_name_the_later_counts(play: Callable[..., Host]) -> None:
    """The service was killed before it had noted the end of the first."""
    earlier = Process(OLD, "a", "b")
    earlier.running.discard("a")

    async def work(made: Any, _: Host) -> None:
        assert await made.connect() == {"a": 9, "b": 7}
        assert (await made.status("a")).pid == 9
        assert earlier.children == {"b": 7}

    later = Process(OURS, "a")
    later.children["a"] = 9
    play(work, earlier, **{OURS.replace(".", "_"): later})


def test_one_that_cannot_be_reached_keeps_nobody_from_the_others(play: Callable[..., Host], caplog: Any) -> None:
    async def work(made: Any, host: Host) -> None:
        del host.units["mctl-spawner@0.0.1"]
        assert await made.connect() == {"a": 7}

    play(work, Process(OURS, "a"), **{"0_0_1": Process(OLD)})
    assert "mctl-spawner@0.0.1.service cannot be reached" in caplog.text
