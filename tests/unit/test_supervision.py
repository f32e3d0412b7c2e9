# SPDX-License-Identifier: GPL-3.0-or-later
"""Timers of restarts and of checks, by a clock that jumps."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from mctld.errors import SpawnerUnavailable
from mctld.health import HealthCheck
from mctld.lifecycle import health as monitor
from mctld.lifecycle import probe
from mctld.lifecycle.health import Health
from mctld.lifecycle.restarts import AT_ONCE, Restarts
from mctld.lifecycle.tasks import Tasks
from mctld.lifecycle.vitals import Result, Vitals
from mctld.state import State
from unit.simulated_time import run

if TYPE_CHECKING:
    from collections.abc import Callable


class Starts:
    def __init__(self) -> None:
        self.at: list[float] = []
        self.under_way = self.most = 0

    async def again(self) -> None:
        self.at.append(round(asyncio.get_running_loop().time() - 1_000, 3))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(1)
        self.under_way -= 1


def test_a_start_comes_when_it_is_due_and_once() -> None:
    async def work() -> list[float]:
        starts, restarts = Starts(), Restarts(Tasks())
        restarts.open()
        restarts.plan("a", 0.1, starts.again)
        restarts.plan("a", 0.4, starts.again)  # in place of the other
        restarts.plan("b", -5, starts.again)
        await asyncio.sleep(10)
        return starts.at

    assert run(work()) == [0, 0.4]


def test_what_is_cancelled_never_comes() -> None:
    async def work() -> list[float]:
        starts, restarts = Starts(), Restarts(Tasks())
        restarts.open()
        for name in "abc":
            restarts.plan(name, 1, starts.again)
        restarts.cancel("a")
        restarts.cancel("unheard-of")
        await asyncio.sleep(0.5)
        restarts.close()
        await asyncio.sleep(10)
        return starts.at

    assert run(work()) == []


def test_nothing_comes_before_all_that_runs_has_been_found_again() -> None:
    async def work() -> list[float]:
        starts, restarts = Starts(), Restarts(Tasks())
        restarts.plan("due", 0.1, starts.again)
        restarts.plan("later", 7, starts.again)
        restarts.plan("cancelled", 0.1, starts.again)
        restarts.cancel("cancelled")
        await asyncio.sleep(5)
        restarts.open()
        await asyncio.sleep(5)
        return starts.at

    assert run(work()) == [5, 7]


def test_after_a_boot_only_so_many_start_at_a_time() -> None:
    async def work() -> Starts:
        starts, restarts = Starts(), Restarts(Tasks())
        for number in range(5 * AT_ONCE):
            restarts.plan(str(number), 0, starts.again)
        restarts.open()
        await asyncio.sleep(20)
        return starts

    starts = run(work())
    assert (len(starts.at), starts.most, starts.at[-1]) == (5 * AT_ONCE, AT_ONCE, 4)


class Patient:
    """A container, and its checks, which take `takes` seconds each and answer `status`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, takes: float = 0.5, **check: Any) -> None:
        self.id, self.name, self.owner_uid, self.started_monotonic_usec = "id", "web", 0, 0
        given = {"interval_usec": 10_000_000, "timeout_usec": 3_000_000, **check}
        self.spec = SimpleNamespace(health=HealthCheck(("check",), **given), user="0")
        self.state = State.RUNNING
        self.takes, self.status = takes, 0
        self.began: list[float] = []
        self.told: list[tuple[str, int]] = []
        self.expired = 0
        self.impeded: Exception | None = None
        monkeypatch.setattr(monitor, "Probe", self._probe)
        monkeypatch.setattr(probe, "run", self._run)

    def _probe(self, *_: object) -> Any:
        return SimpleNamespace(expire=self._expire, done=asyncio.Event())

    def _expire(self) -> None:
        self.expired += 1

    async def _run(self, *_: object) -> Result:
        if self.impeded:
            raise self.impeded
        self.began.append(round(asyncio.get_running_loop().time() - 1_000, 3))
        await asyncio.sleep(self.takes)
        return Result(1, 2, self.status, "")

    def _judged(self, vitals: Vitals, result: Result) -> None:
        self.told.append((vitals.health, result.status))

    def checked(self, during: Callable[[Health], Any], directory: Path = Path("/dev/null/none")) -> Patient:
        """directory: where the service keeps what it knows of healths."""

        async def work() -> None:
            machinery: Any = SimpleNamespace(relays=Tasks(), settings=SimpleNamespace(health=str(directory)))
            health = Health(machinery, self, self._judged)  # type: ignore[arg-type]
            health.begin("")
            await during(health)

        run(work())
        return self


def test_a_check_comes_an_interval_after_the_start_and_after_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Patient(monkeypatch).checked(lambda _: asyncio.sleep(35))
    assert found.began == [10, 20.5, 31]
    assert found.told == [("healthy", 0)] * 3


def test_it_takes_its_timeout_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Patient(monkeypatch, takes=2.9).checked(lambda _: asyncio.sleep(20)).expired == 0
    assert Patient(monkeypatch, takes=3.1).checked(lambda _: asyncio.sleep(20)).expired == 1


def test_a_pause_freezes_checks_and_their_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    patient = Patient(monkeypatch, takes=103)

    async def during(health: Health) -> None:
        await asyncio.sleep(11)  # one is under way
        patient.state = State.PAUSED
        health.freeze()
        await asyncio.sleep(100)
        assert patient.expired == 0
        patient.state = State.RUNNING
        health.thaw()
        await asyncio.sleep(14)

    assert patient.checked(during).expired == 0
    assert patient.told == [("healthy", 0)]
    assert patient.began == [10, 123]


def test_what_a_paused_container_answers_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    patient = Patient(monkeypatch)
    patient.status = 1

    async def during(health: Health) -> None:
        await asyncio.sleep(10.1)
        patient.state = State.PAUSED
        health.freeze()
        await asyncio.sleep(50)
        assert patient.told == []
        patient.state = State.RUNNING
        health.thaw()
        await asyncio.sleep(11)

    assert patient.checked(during).told == [("starting", 1)]
    assert patient.began == [10, 70.1]


def test_a_late_answer_of_the_run_before_says_nothing_about_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    patient = Patient(monkeypatch, takes=2)

    async def during(health: Health) -> None:
        await asyncio.sleep(11)
        health.end()
        health.begin("")
        await asyncio.sleep(9)
        assert patient.told == []
        await asyncio.sleep(4)

    assert patient.checked(during).told == [("healthy", 0)]
    assert patient.began == [10, 21]


def test_after_the_end_there_are_no_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    async def during(health: Health) -> None:
        health.end()
        health.thaw()
        await asyncio.sleep(100)

    assert Patient(monkeypatch).checked(during).began == []


def test_after_a_restart_of_the_service_checks_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    async def during(health: Health) -> None:
        health.end()
        monkeypatch.setattr("random.random", lambda: 0.25)
        health.begin("unhealthy", resumed=True)
        assert health.vitals == Vitals("unhealthy")
        await asyncio.sleep(14)

    assert Patient(monkeypatch).checked(during).began == [2.5, 13]


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_what_is_known_survives_the_service(how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the failures so far: a service that is restarted again and again calls nobody unhealthy too late."""
    patient = Patient(monkeypatch, retries=3)
    patient.status = 1

    async def until_stopped(health: Health) -> None:
        await asyncio.sleep(21.5)
        if how == "stopped":
            health.rest()
            await asyncio.sleep(100)
            assert len(patient.began) == 2

    async def resumed(health: Health) -> None:
        health.begin("starting", resumed=True)
        assert (health.vitals, len(health.results)) == (Vitals("starting", 2), 2)
        await asyncio.sleep(11)
        assert (health.vitals, len(health.results)) == (Vitals("unhealthy", 3), 3)
        health.end()
        assert list((tmp_path / "health").iterdir()) == []

    patient.checked(until_stopped, tmp_path / "health").checked(resumed, tmp_path / "health")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"vitals": [1, 2, 3], "results": []}', '{"vitals": ["healthy", 0]}'])
def test_what_cannot_be_read_is_forgotten(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    async def resumed(health: Health) -> None:
        (tmp_path / "id").write_text(text)
        health.begin("unhealthy", resumed=True)
        assert (health.vitals, len(health.results)) == (Vitals("unhealthy"), 0)

    Patient(monkeypatch).checked(resumed, tmp_path)


def test_what_is_our_fault_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an upgrade that has left a spawner of the version before."""
    patient = Patient(monkeypatch, retries=1)
    patient.impeded = SpawnerUnavailable("it is of another version")

    async def during(health: Health) -> None:
        await asyncio.sleep(95)
        patient.impeded = None
        await asyncio.sleep(11)

    assert patient.checked(during).told == [("healthy", 0)]


def test_no_fault_of_ours_ends_the_checks(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever it is."""
    patient = Patient(monkeypatch)
    patient.impeded = RuntimeError("can't start new thread")

    async def during(health: Health) -> None:
        await asyncio.sleep(15)
        patient.impeded = None
        await asyncio.sleep(11)

    assert patient.checked(during).told == [("healthy", 0)]
    assert "check web failed" in caplog.text


def test_only_the_last_few_results_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    async def during(health: Health) -> None:
        await asyncio.sleep(200)
        assert len(health.results) == 5

    Patient(monkeypatch).checked(during)
