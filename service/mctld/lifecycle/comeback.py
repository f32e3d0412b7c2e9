# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether and when a run is followed by another: decisions alone, from what is stored.

The first start comes 100 ms after an end, each further one after twice the time, 60 s at most; a run that lasted 10 s
begins anew with 100 ms. These are docker's figures: the first is short enough not to be noticed, the last keeps a
container that cannot work from costing anything, and who moves here from there finds what they know.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..restart import ALWAYS, NO, ON_FAILURE, UNLESS_STOPPED, RestartPolicy
from ..state import State
from .events import Exit

if TYPE_CHECKING:
    from ..store import Run

FIRST_USEC = 100_000
MOST_USEC = 60_000_000
LASTED_USEC = 10_000_000

# Why a run was stopped; stored, so that a crash of the service in between forgets nobody's wish.
ASKED = "asked"  # by a person or a program
HOST = "host"  # the host is shutting down
UNHEALTHY = "unhealthy"
RESTART = "restart"  # unhealthy, and to be started again
NETWORK = "network"  # that of another container, which has ended


def concluded(policy: RestartPolicy, run: Run, end: Exit, ended: tuple[int, int], boot: str) -> Run:
    """The run after its end: exited, or restarting with the time of the next start.

    ended: realtime and monotonic microseconds. boot: of the host, now; what ended with an earlier one is revived().
    """
    over = replace(
        run, state=State.EXITED, main_pid=0, how=end.how, status=end.status, exited_usec=ended[0],
        exited_monotonic_usec=ended[1], health="", ready=False, status_text="",
    )  # fmt: skip
    if not of_this_boot(run, boot) or not _goes_on(policy, run, failed=end != Exit("exited", 0)):
        return over
    lasted = lasted_usec(run, ended[1], boot) >= LASTED_USEC
    return _waiting(over, 0 if lasted else run.failures, ended[0])


def start_failed(policy: RestartPolicy, run: Run, now_usec: int, *, counts: bool = True) -> Run:
    """After a restart that did not come to a run, which counts as one that failed, unless the fault is ours."""
    tried = replace(run, state=State.EXITED, next_start_usec=0, restarts=run.restarts + int(counts))
    return _waiting(tried, run.failures, now_usec) if _goes_on(policy, tried, failed=True) else tried


def revived(policy: RestartPolicy, run: Run, boot: str, now_usec: int) -> Run:
    """At the start of the service, of what does not run: the first one after a boot brings back what is to be back."""
    if run.state.is_active or of_this_boot(run, boot):
        return run
    wanted = policy.policy == ALWAYS or (policy.policy == UNLESS_STOPPED and run.stopped_for != ASKED)
    if wanted and run.started_usec:
        return replace(
            run, state=State.RESTARTING, next_start_usec=now_usec, restarts=0, failures=0, stopped_for="", boot=boot
        )
    return given_up(run) if run.state is State.RESTARTING else run


def given_up(run: Run, stopped_for: str = "") -> Run:
    """Nobody waits for a start any more."""
    return replace(run, state=State.EXITED, next_start_usec=0, stopped_for=stopped_for or run.stopped_for)


def may_follow(policy: RestartPolicy, run: Run) -> bool:
    """Whether one that waits for a start may go on waiting under another policy."""
    return policy.policy != NO and not exhausted(policy, run)


def lasted_usec(run: Run, now_monotonic: int, boot: str) -> int:
    """How long it has run; 0 where that cannot be known, or it has not."""
    known = run.state is not State.STARTING and run.started_monotonic_usec and of_this_boot(run, boot)
    return max(0, now_monotonic - run.started_monotonic_usec) if known else 0


def exhausted(policy: RestartPolicy, run: Run) -> bool:
    """Whether it has been started again as often as it may be."""
    return policy.policy == ON_FAILURE and 0 < policy.retries <= run.restarts


def delay_usec(failures: int) -> int:
    """After so many starts in a row that did not last."""
    return min(FIRST_USEC << min(failures, 32), MOST_USEC)


def of_this_boot(run: Run, boot: str) -> bool:
    """Nothing is known of runs that an earlier version has stored: the host has not been booted since, it is taken."""
    return run.boot in ("", boot)


def _goes_on(policy: RestartPolicy, run: Run, *, failed: bool) -> bool:
    if run.stopped_for:
        return run.stopped_for == RESTART or (run.stopped_for == NETWORK and policy.policy != NO)
    if policy.policy == ON_FAILURE:
        return failed and not exhausted(policy, run)
    return policy.policy in (ALWAYS, UNLESS_STOPPED)


def _waiting(run: Run, failures: int, now_usec: int) -> Run:
    return replace(
        run, state=State.RESTARTING, failures=failures + 1, next_start_usec=now_usec + delay_usec(failures),
        stopped_for="",
    )  # fmt: skip
