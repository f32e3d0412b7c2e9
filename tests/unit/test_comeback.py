# SPDX-License-Identifier: GPL-3.0-or-later
"""When a run is followed by another: every policy, every end, every boot."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mctld.lifecycle import comeback
from mctld.lifecycle.comeback import ASKED, HOST, RESTART, UNHEALTHY
from mctld.lifecycle.events import Exit
from mctld.restart import POLICIES, RestartPolicy
from mctld.state import State
from mctld.store import Run

SECOND = 1_000_000
GOOD, BAD = Exit("exited", 0), Exit("exited", 1)
NO, ALWAYS, UNLESS = (RestartPolicy(name) for name in ("no", "always", "unless-stopped"))
ON_FAILURE = RestartPolicy("on-failure")
RUNNING = Run(State.RUNNING, 42, started_usec=5 * SECOND, started_monotonic_usec=5 * SECOND, boot="this")


def ended(policy: RestartPolicy, run: Run = RUNNING, end: Exit = BAD, after: int = 1, boot: str = "this") -> Run:
    monotonic = run.started_monotonic_usec + after * SECOND
    return comeback.concluded(policy, run, end, (1_000 * SECOND, monotonic), boot)


@pytest.mark.parametrize(
    ("policy", "end", "again"),
    [
        (NO, BAD, False),
        (ALWAYS, GOOD, True),
        (ALWAYS, BAD, True),
        (UNLESS, GOOD, True),
        (ON_FAILURE, GOOD, False),
        (ON_FAILURE, BAD, True),
        (ON_FAILURE, Exit("killed", 9), True),
        (ON_FAILURE, Exit("oom", 9), True),
        (ON_FAILURE, Exit("unknown"), True),  # that it was good cannot be known
    ],
)
def test_a_policy_decides_by_the_end(policy: RestartPolicy, end: Exit, again: bool) -> None:  # noqa: FBT001
    run = ended(policy, end=end)
    assert (run.state is State.RESTARTING) == again
    assert (run.how, run.status, run.main_pid) == (end.how, end.status, 0)
    assert bool(run.next_start_usec) == again


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize(("why", "again"), [(ASKED, False), (HOST, False), (UNHEALTHY, False), (RESTART, True)])
def test_who_stopped_it_goes_before_the_policy(name: str, why: str, again: bool) -> None:  # noqa: FBT001
    run = ended(RestartPolicy(name), replace(RUNNING, state=State.STOPPING, stopped_for=why))
    assert (run.state is State.RESTARTING) == again
    assert run.stopped_for == ("" if again else why)


def test_the_time_doubles_up_to_a_minute_and_begins_anew_after_a_run_that_lasted() -> None:
    run, delays = RUNNING, []
    for _ in range(12):
        run = replace(ended(ALWAYS, run), state=State.RUNNING)
        delays.append((run.next_start_usec - run.exited_usec) / SECOND)
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60, 60]
    assert ended(ALWAYS, run, after=9).next_start_usec == 1_060 * SECOND
    assert ended(ALWAYS, run, after=10).next_start_usec == 1_000 * SECOND + 100_000
    assert comeback.delay_usec(10**9) == 60 * SECOND


def test_a_number_bounds_the_starts_since_somebody_started_it() -> None:
    policy = RestartPolicy("on-failure", 2)
    assert ended(policy, replace(RUNNING, restarts=1)).state is State.RESTARTING
    assert ended(policy, replace(RUNNING, restarts=2)).state is State.EXITED
    assert comeback.exhausted(policy, replace(RUNNING, restarts=2))
    assert not comeback.exhausted(ON_FAILURE, replace(RUNNING, restarts=99))


def test_a_start_that_fails_is_a_failure_and_backs_off() -> None:
    policy, run = RestartPolicy("on-failure", 3), ended(RestartPolicy("on-failure", 3))
    first = comeback.start_failed(policy, run, 2_000 * SECOND)
    assert (first.state, first.restarts, first.next_start_usec) == (State.RESTARTING, 1, 2_000 * SECOND + 200_000)
    assert (first.how, first.status) == ("exited", 1)  # how it ended stays known
    second = comeback.start_failed(policy, first, 0)
    third = comeback.start_failed(policy, second, 0)
    assert (second.state, second.restarts) == (State.RESTARTING, 2)
    assert (third.state, third.restarts, third.next_start_usec) == (State.EXITED, 3, 0)
    assert comeback.start_failed(ALWAYS, replace(run, failures=99), 0).next_start_usec == 60 * SECOND


def test_a_start_in_which_the_service_was_killed_did_not_last() -> None:
    starting = replace(RUNNING, state=State.STARTING, failures=4)
    run = ended(ALWAYS, starting, Exit("unknown"), after=3_600)
    assert run.next_start_usec == 1_000 * SECOND + 1_600_000


@pytest.mark.parametrize(
    ("policy", "why", "back"),
    [
        (NO, "", False),
        (ON_FAILURE, "", False),
        (ALWAYS, "", True),
        (ALWAYS, ASKED, True),
        (UNLESS, "", True),
        (UNLESS, HOST, True),
        (UNLESS, UNHEALTHY, True),
        (UNLESS, ASKED, False),
    ],
)
@pytest.mark.parametrize("state", [State.RUNNING, State.STOPPING, State.EXITED, State.RESTARTING])
def test_a_boot_brings_back_what_is_to_be_back(policy: RestartPolicy, why: str, back: bool, state: State) -> None:  # noqa: FBT001
    before = replace(RUNNING, state=state, stopped_for=why, restarts=7, failures=7)
    over = ended(policy, before, Exit("unknown"), boot="next") if state.is_active else before
    run = comeback.revived(policy, over, "next", 3_000 * SECOND)
    assert run.state is (State.RESTARTING if back else State.EXITED)
    assert run.next_start_usec == (3_000 * SECOND if back else 0)
    if back:
        assert (run.restarts, run.failures, run.stopped_for, run.boot) == (0, 0, "", "next")
        assert comeback.revived(policy, run, "next", 4_000 * SECOND) == run  # a boot counts once


def test_the_end_of_another_boot_is_left_to_that_decision() -> None:
    assert ended(ALWAYS, end=Exit("unknown"), boot="next").state is State.EXITED
    assert ended(ALWAYS, replace(RUNNING, boot=""), boot="next").state is State.RESTARTING


def test_only_what_was_started_comes_back() -> None:
    assert comeback.revived(ALWAYS, Run(), "next", 1).state is State.CREATED
    assert comeback.revived(ALWAYS, replace(Run(State.EXITED), boot="last"), "next", 1).state is State.EXITED


def test_without_a_boot_nothing_changes() -> None:
    waiting = ended(ALWAYS)
    stopped = ended(ALWAYS, replace(RUNNING, stopped_for=ASKED))
    for run in (waiting, stopped, RUNNING):
        assert comeback.revived(ALWAYS, run, "this", 1) == run
    stored_by_an_earlier_version = replace(stopped, boot="")
    assert comeback.revived(ALWAYS, stored_by_an_earlier_version, "this", 1) == stored_by_an_earlier_version


def test_how_long_it_lasted_is_known_or_zero() -> None:
    assert comeback.lasted_usec(RUNNING, 9 * SECOND, "this") == 4 * SECOND
    assert comeback.lasted_usec(RUNNING, 9 * SECOND, "next") == 0
    assert comeback.lasted_usec(replace(RUNNING, state=State.STARTING), 9 * SECOND, "this") == 0


@pytest.mark.parametrize(
    ("policy", "after"),
    [("no", State.EXITED), ("always", State.RESTARTING), ("unless-stopped", State.RESTARTING),
     ("on-failure", State.RESTARTING)],
)  # fmt: skip
def test_without_its_network_it_comes_back_as_its_policy_says(policy: str, after: State) -> None:
    run = Run(State.STOPPING, 42, boot="this", stopped_for=comeback.NETWORK)
    assert comeback.concluded(RestartPolicy(policy), run, Exit("exited", 0), (1, 1), "this").state is after
