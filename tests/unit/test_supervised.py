# SPDX-License-Identifier: GPL-3.0-or-later
"""A container that cannot be started again, that nobody wants back, or that is unhealthy: by a clock that jumps."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from mctld.errors import NoSuchRootfs, SpawnerUnavailable
from mctld.health import HealthCheck
from mctld.lifecycle import comeback, supervise
from mctld.lifecycle.events import Exit
from mctld.lifecycle.restarts import Restarts
from mctld.lifecycle.supervised import Supervised
from mctld.lifecycle.tasks import Tasks
from mctld.lifecycle.vitals import Result, Vitals
from mctld.restart import RestartPolicy
from mctld.state import State
from mctld.store import Record, Run
from unit.simulated_time import run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mctld.lifecycle.place import Place
    from mctld.spec import Spec

SECOND = 1_000_000


class Played(Supervised):
    """Starts fail with `failure`, if it is set. What is done to it is in `done`."""

    def __init__(self, record: Record, run: Run, machinery: Any) -> None:
        super().__init__(record, run, machinery)
        self.failure: Exception | None = None
        self.done: list[object] = []

    async def start(self) -> None:
        self.done.append("start")
        if self.failure:
            raise self.failure
        self._run = Run(State.RUNNING)

    async def stop(self, *, timeout_usec: int | None = None, why: str = comeback.ASKED) -> None:
        self.done.append(("stop", timeout_usec, why, self._kept))
        self._run = replace(self._run, state=State.EXITED)

    async def _start(self, place: Place, beginning: Run, *_: Any, **__: Any) -> tuple[int, ...]:
        self.done.append(round(asyncio.get_running_loop().time() - 1_000, 3))
        if self.failure:
            raise self.failure
        self._run = replace(beginning, state=State.RUNNING)
        return ()

    def end(self, end: Exit) -> None:  # type: ignore[override]
        before = self._run
        self._run = comeback.concluded(self.spec.restart, before, end, (now(), time.monotonic_ns() // 1_000), "this")
        self._follow_up(before, end)

    async def _end_by_signal(self) -> None:
        self.done.append("signals")

    def _tell(self, *changed: str) -> None:
        self.done += [name for name in changed if name == "Warnings"]

    def _signal(self, number: int) -> None:
        self.done.append(("signal", number))

    def _forget(self) -> None:
        self.done.append("forget")
        self._gone = True

    def wait_no_more(self) -> None:
        self._wait_no_more(comeback.ASKED)

    def judge(self, health: str) -> None:
        self._judge(Vitals(health), Result(1, 2, 7, ""))


def now() -> int:
    return int(asyncio.get_running_loop().time() * SECOND)


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr("mctld.lifecycle.supervise.chronicle.send", lambda text, **fields: found.append((text, fields)))
    monkeypatch.setattr(time, "time_ns", lambda: now() * 1_000)
    return found


@pytest.fixture
def play(make_spec: Callable[..., Spec]) -> Callable[..., Played]:
    def during(work: Callable[[Played], Awaitable[None]], run_: Run, **spec: Any) -> Played:
        async def playing() -> Played:
            tasks = Tasks()
            followers = SimpleNamespace(look=lambda made: made.done.append(("log is over", made.is_over)))
            machinery = SimpleNamespace(
                store=SimpleNamespace(update=lambda *_: None), restarts=Restarts(tasks), tasks=tasks,
                logs=SimpleNamespace(followers=followers),
            )  # fmt: skip
            made = Played(Record("id", 0, 1_000_000, 1, make_spec(**spec)), run_, machinery)
            machinery.restarts.open()
            await work(made)
            return made

        return run(playing())

    return during


RUNNING = Run(State.RUNNING, 42, boot="this")


def test_what_cannot_be_started_backs_off_and_never_spins(play: Any, noted: list[Any]) -> None:
    async def work(made: Played) -> None:
        made.failure = NoSuchRootfs("/srv/web is gone")
        made.end(Exit("exited", 1))
        await asyncio.sleep(100)
        made.failure = None
        await asyncio.sleep(60)

    made = play(work, RUNNING, restart=RestartPolicy("always"))
    assert [at for at in made.done if at != "Warnings"] == [0.1, 0.3, 0.7, 1.5, 3.1, 6.3, 12.7, 25.5, 51.1, 102.3]
    assert (made.state, made.restarts) == (State.RUNNING, 10)
    told = [text for text, fields in noted if fields["MCTL_WHY"]]
    assert told[0] == (
        "Container web could not be started again (/srv/web is gone); it will be started again in 0.2 s (always)"
    )
    assert len(told) == 9
    assert {fields["PRIORITY"] for _, fields in noted if fields["MCTL_WHY"]} == {4}


def test_a_number_of_failed_starts_is_enough(play: Any, noted: list[Any]) -> None:
    async def work(made: Played) -> None:
        made.failure = RuntimeError("a mistake of ours counts as well")
        made.end(Exit("killed", 9))
        await asyncio.sleep(1_000)

    made = play(work, RUNNING, restart=RestartPolicy("on-failure", 3))
    assert [at for at in made.done if at != "Warnings"] == [0.1, 0.3, 0.7]
    assert (made.state, made.restarts, made.next_start_usec) == (State.EXITED, 3, 0)
    assert made.warnings == ("the last try to start it again failed: a mistake of ours counts as well",)
    assert noted[-1][1]["MESSAGE_ID"] == supervise.MESSAGE_GIVEN_UP.hex
    assert "has been started again 3 times" in noted[-1][0]


def test_a_spawner_that_is_gone_is_no_fault_of_the_container(play: Any, noted: list[Any]) -> None:
    async def work(made: Played) -> None:
        made.failure = SpawnerUnavailable("it is of another version")
        made.end(Exit("killed", 9))
        await asyncio.sleep(100)
        made.failure = None
        await asyncio.sleep(60)

    made = play(work, RUNNING, restart=RestartPolicy("on-failure", 1))
    assert (made.state, made.restarts) == (State.RUNNING, 1)
    assert [at for at in made.done if at != "Warnings"][:4] == [0.1, 0.3, 0.7, 1.5]


def test_the_last_end_of_a_row_is_told_as_such(play: Any, noted: list[Any]) -> None:
    async def work(made: Played) -> None:
        made.end(Exit("exited", 1))

    made = play(work, replace(RUNNING, restarts=3), restart=RestartPolicy("on-failure", 3))
    assert made.state is State.EXITED
    assert [fields["MESSAGE_ID"] for _, fields in noted] == [supervise.MESSAGE_GIVEN_UP.hex]


def test_stopped_while_it_waits_it_is_not_started(play: Any, noted: list[Any]) -> None:
    async def work(made: Played) -> None:
        made.end(Exit("exited", 0))
        assert made.state is State.RESTARTING
        await asyncio.sleep(0.05)
        made.wait_no_more()
        assert not made._machinery.restarts._timers
        await asyncio.sleep(1_000)

    made = play(work, RUNNING, restart=RestartPolicy("always"))
    assert (made.state, made.next_start_usec, made.done) == (State.EXITED, 0, [])


@pytest.mark.parametrize(("state", "after"), [(State.RUNNING, State.STOPPING), (State.PAUSED, State.STOPPING)])
def test_stopped_by_pid_1_it_does_not_come_back(play: Any, noted: list[Any], state: State, after: State) -> None:
    async def work(made: Played) -> None:
        made.is_being_stopped(comeback.ASKED)
        made.is_being_stopped(comeback.HOST)
        assert made.state is after
        made.end(Exit("exited", 0))
        await asyncio.sleep(100)

    made = play(work, replace(RUNNING, state=state), restart=RestartPolicy("always"))
    assert (made.state, made.done, made._run.stopped_for) == (State.EXITED, [], comeback.ASKED)


@pytest.mark.parametrize(("number", "stays"), [(9, True), (15, True), (1, False), (10, False)])
def test_killed_by_somebody_it_does_not_come_back(play: Any, noted: list[Any], number: int, stays: bool) -> None:  # noqa: FBT001
    async def work(made: Played) -> None:
        made._is_being_killed(number)
        made.end(Exit("killed", number))
        await asyncio.sleep(100)

    made = play(work, RUNNING, restart=RestartPolicy("always"))
    assert (made._run.stopped_for == comeback.ASKED) is stays
    assert bool(made.done) is not stays


def test_stopped_by_pid_1_and_over_at_once_it_does_not_come_back_either(play: Any, noted: list[Any]) -> None:
    async def work(made: Played) -> None:
        made.end(Exit("exited", 0))
        made.is_being_stopped(comeback.ASKED)
        await asyncio.sleep(100)

    assert play(work, RUNNING, restart=RestartPolicy("always")).state is State.EXITED


def test_a_new_instance_of_the_service_goes_on_where_the_last_one_was(play: Any, noted: list[Any]) -> None:
    async def work(made: Played) -> None:
        made.revive()
        await asyncio.sleep(1_000)

    waiting = replace(RUNNING, state=State.RESTARTING, boot="", next_start_usec=1_001 * SECOND, restarts=4, failures=5)
    made = play(work, waiting, restart=RestartPolicy("always"))
    assert (made.done, made.restarts, made.state) == ([1.0], 5, State.RUNNING)
    far = replace(waiting, next_start_usec=10**15)  # the clock has been set back by years
    assert play(work, far, restart=RestartPolicy("always")).done == [1.6]  # no more than the fifth has to wait


@pytest.mark.parametrize(
    ("action", "done"),
    [
        ("none", []),
        ("kill", [("signal", 9)]),
        ("stop", [("stop", None, comeback.UNHEALTHY, False)]),
        ("restart", [("stop", None, comeback.RESTART, False)]),
    ],
)
def test_what_follows_when_it_is_unhealthy_follows_once(play: Any, noted: list[Any], action: str, done: object) -> None:
    async def work(made: Played) -> None:
        for health in ("healthy", "healthy", "unhealthy", "unhealthy"):
            made.judge(health)
        await asyncio.sleep(1)

    made = play(work, RUNNING, health=HealthCheck(("true",), on_failure=action))
    assert made.done == done
    assert [fields["MCTL_HEALTH"] for _, fields in noted] == ["healthy", "unhealthy"]
    assert "failed 3 times in a row, the last with status 7" in noted[1][0]


def test_restarted_by_hand_it_stays_until_it_runs_again(play: Any, noted: list[Any]) -> None:
    async def work(made: Played) -> None:
        await made.restart(timeout_usec=5)
        assert made.done == [("stop", 5, comeback.ASKED, True), "start"]
        made.failure = NoSuchRootfs("gone")
        with pytest.raises(NoSuchRootfs):
            await made.restart()

    made = play(work, RUNNING, auto_remove=True)
    assert made.done[-3:] == ["start", ("log is over", True), "forget"]
