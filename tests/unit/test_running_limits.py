# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of processes that run, and that are born while they are set: real ones, in a cgroup that is only said."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mctld.errors import MctlError
from mctld.runtime import processes, rlimits
from mctld.runtime.rlimits import RunningLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GROUP = "/mctl.slice/web"
HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
USUAL, WANTED, OWN = (300, HARD), (200, HARD), (250, HARD)  # soft ones alone: these go up again without any right


class Group:
    """born: what happens when the processes are looked for, time by time."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []
        self.looks: list[Callable[[], object]] = []

    def bear(self, limit: tuple[int, int] = USUAL) -> int:
        made = subprocess.Popen([sys.executable, "-Sc", "import signal; signal.pause()"])
        resource.prlimit(made.pid, resource.RLIMIT_NOFILE, limit)
        self.processes.append(made)
        return made.pid

    def pids(self, _: str) -> list[int]:
        if self.looks:
            self.looks.pop(0)()
        return [each.pid for each in self.processes]

    def limits(self) -> list[tuple[int, int]]:
        return [resource.prlimit(each.pid, resource.RLIMIT_NOFILE) for each in self.processes]


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Iterator[Group]:
    made = Group()
    monkeypatch.setattr(processes, "pids", made.pids)
    monkeypatch.setattr(processes, "began", lambda pid, _: f"began {pid}")
    yield made
    for each in made.processes:
        each.kill()
        each.wait()


def limiting(**wanted: tuple[int, int]) -> RunningLimits:
    made = RunningLimits(GROUP, wanted or {"NOFILE": WANTED}, {"NOFILE": USUAL, "NICE": (0, 0), "CORE": (0, 0)})
    made._own = 0  # none of them is in a namespace of its own
    return made


def test_each_gets_them_and_has_again_what_it_had(group: Group) -> None:
    group.bear()
    group.bear(OWN)
    running = limiting()
    running.apply()
    assert group.limits() == [WANTED, WANTED]
    running.undo()
    assert group.limits() == [USUAL, OWN]


def test_the_hosts_are_never_touched(group: Group) -> None:
    group.bear()
    RunningLimits(GROUP, {"NOFILE": WANTED}, {"NOFILE": USUAL}).apply()
    assert group.limits() == [USUAL]


def test_who_is_born_meanwhile_gets_them_too(group: Group) -> None:
    group.bear()
    group.looks = [lambda: None, lambda: None, group.bear, lambda: None, group.bear]
    running = limiting()
    running.apply()
    assert group.limits() == [WANTED] * 3
    running.undo()
    assert group.limits() == [USUAL] * 3


def test_children_of_those_that_had_been_limited_have_what_is_usual_again(group: Group) -> None:
    """Born between two looks, after the last one, and while it is undone."""
    group.bear(OWN)
    group.looks = [lambda: None, lambda: None, lambda: group.bear(WANTED)]
    running = limiting()
    running.apply()
    group.bear(WANTED)
    group.looks = [lambda: None, lambda: group.bear(WANTED)]
    running.undo()
    assert group.limits() == [OWN, USUAL, USUAL, USUAL]


def test_what_it_had_by_its_own_doing_stays(group: Group) -> None:
    """It had the very limit before; and one that came later has another."""
    group.bear(WANTED)
    running = limiting()
    running.apply()
    group.bear(OWN)
    running.undo()
    assert group.limits() == [WANTED, OWN]


def test_one_that_ends_holds_up_nobody(group: Group) -> None:
    group.bear()
    group.bear()

    def end() -> None:
        os.kill(group.processes[0].pid, signal.SIGKILL)
        os.waitid(os.P_PID, group.processes[0].pid, os.WEXITED | os.WNOWAIT)

    group.looks = [lambda: None, end]
    running = limiting()
    running.apply()
    assert group.limits()[1] == WANTED
    running.undo()
    assert group.limits()[1] == USUAL


def test_a_number_that_is_anothers_by_now_is_left_alone(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    group.bear()
    running = limiting()
    running.apply()
    resource.prlimit(group.processes[0].pid, resource.RLIMIT_NOFILE, OWN)
    monkeypatch.setattr(processes, "began", lambda pid, _: f"later {pid}")
    running.undo()
    assert group.limits() == [OWN]


def test_what_cannot_be_undone_is_told_and_the_others_are(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = group.bear()
    group.bear()
    running = limiting()
    running.apply()
    exchange = rlimits._exchange

    def refuse(pid: int, name: str, pair: tuple[int, int]) -> tuple[int, int]:
        if pid == stuck:
            raise MctlError("no right")
        return exchange(pid, name, pair)

    monkeypatch.setattr(rlimits, "_exchange", refuse)
    with pytest.raises(MctlError, match="no right"):
        running.undo()
    assert group.limits() == [WANTED, USUAL]


def test_who_bears_too_fast_is_refused(group: Group) -> None:
    class Endless(list):  # type: ignore[type-arg]
        def pop(self, _: object = 0) -> Callable[[], object]:
            return group.bear

    group.bear()
    group.looks = Endless([0])
    rlimits_passes, rlimits.PASSES = rlimits.PASSES, 4
    try:
        with pytest.raises(MctlError, match="new ones are made faster than they can be limited"):
            limiting().apply()
    finally:
        rlimits.PASSES = rlimits_passes
