# SPDX-License-Identifier: GPL-3.0-or-later
"""A container under supervision: it comes back as its owner wished, by decisions of comeback.py, and its health has
consequences."""

from __future__ import annotations

import contextlib
import logging
import signal
import time
from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import MctlError, NoSuchContainer, NotRunning, SpawnerUnavailable, StoreFailed
from ..restart import NO, RestartPolicy
from ..runtime.planner import NO_WINDOW
from ..runtime.rootfs import boot_id
from ..state import State
from ..store import Run
from . import bootunit, comeback, supervise
from .events import Exit
from .place import in_scope
from .precedence import Precedence
from .standing import Standing
from .vitals import NONE, UNHEALTHY

if TYPE_CHECKING:
    from ..store import Record
    from .health import Health
    from .machinery import Machinery
    from .place import Place
    from .start import Window
    from .vitals import Result, Vitals

log = logging.getLogger(__name__)

WAITING = ("State", "RestartCount", "NextStartTimestamp")


class Supervised(Standing):
    _health: Health

    def __init__(self, record: Record, run: Run, machinery: Machinery) -> None:
        super().__init__(record, run)
        self._machinery = machinery
        self._lock = Precedence(self)
        self._kept = False  # while it is restarted by hand, AutoRemove has to wait
        self.warnings = self._first_warnings()  # of the current run or the last, while the service runs

    @abstractmethod
    async def start(self) -> object: ...

    @abstractmethod
    async def stop(self, *, timeout_usec: int | None = None, why: str = comeback.ASKED) -> None: ...

    @abstractmethod
    async def _start(
        self, place: Place, beginning: Run, stdin: int | None, window: Window, *, attach: bool
    ) -> tuple[int, ...]: ...

    @abstractmethod
    def _tell(self, *changed: str) -> None:
        """Everybody who listens of these properties."""

    @abstractmethod
    def _signal(self, number: int) -> None: ...

    @abstractmethod
    async def _end_by_signal(self) -> None: ...

    @abstractmethod
    def _forget(self) -> None: ...

    @property
    def is_over(self) -> bool:
        """It has run, or will not, and nothing but a person will start it again; if it is a service, PID 1 may."""
        if self._gone:
            return True
        return not (self._kept or self.state.is_active or self.state in (State.CREATED, State.RESTARTING))

    @property
    def policy(self) -> RestartPolicy:
        """What of it is ours: what is a service is PID 1's to start again."""
        return RestartPolicy() if bootunit.owns(self.name) else self.spec.restart

    async def _start_anew(self, place: Place, stdin: int | None, window: Window, *, attach: bool) -> tuple[int, ...]:
        """Because somebody wants it, whatever has been planned."""
        self._machinery.restarts.cancel(self.id)
        try:
            return await self._start(place, Run(), stdin, window, attach=attach)
        finally:
            self._plan()  # where it has failed, and waited for a start before

    async def restart(self, *, timeout_usec: int | None = None) -> None:
        """Stopped, if it runs, and started. One that is to be removed at its end stays for that."""
        async with self._lock.taken():
            async with self._lock:
                self._kept = True  # a start that is under way has come to its end now
            try:
                if self.state.can_be_signalled:
                    with contextlib.suppress(NotRunning):  # it has just ended
                        await self.stop(timeout_usec=timeout_usec)
            finally:
                self._kept = False
            try:
                await self.start()
            except MctlError:
                self._machinery.logs.followers.look(self)
                if self.spec.auto_remove and not self._gone and self.state is State.EXITED:
                    self._forget()
                raise

    def revive(self) -> None:
        """Once after a start of the service, when all that runs has been found again."""
        run = comeback.revived(self.policy, self._run, boot_id(), time.time_ns() // 1_000)
        if run != self._run:
            self._must_become(run, *WAITING)
        self._plan()

    def _follow_up(self, before: Run, end: Exit) -> None:
        """Of the run that is over: what comes next, planned and told."""
        self._plan(told=True)
        failed = not before.stopped_for and end != Exit("exited", 0)
        if failed and self.state is State.EXITED and comeback.exhausted(self.policy, self._run):
            supervise.note_given_up(self, self._run)

    def _plan(self, why: str = "", *, told: bool = False) -> None:
        """If it waits for a start: when that is due. why: the last one failed so."""
        if self.state is not State.RESTARTING:
            return
        left = self._run.next_start_usec - time.time_ns() // 1_000
        most = comeback.delay_usec(max(self._run.failures - 1, 0))  # the clock may have been set meanwhile
        seconds = min(max(left, 0), most) / 1_000_000
        self._machinery.restarts.plan(self.id, seconds, self._start_again)
        if told:
            supervise.note_restarting(self, self._run, seconds, why)

    async def _start_again(self) -> None:
        with contextlib.suppress(NoSuchContainer):  # renamed, and so it waits no more
            async with self._lock:
                await self._try_again()

    async def _try_again(self) -> None:
        if self._gone or self.state is not State.RESTARTING:
            return
        beginning = Run(restarts=self.restarts + 1, failures=self._run.failures)
        try:
            await self._start(in_scope(self.record), beginning, None, NO_WINDOW, attach=False)
        except SpawnerUnavailable as error:
            self._try_failed(str(error), counts=False)
        except MctlError as error:
            self._try_failed(str(error))
        except Exception as error:
            log.exception("a restart of %s failed", self.name)
            self._try_failed(str(error))

    def _try_failed(self, why: str, *, counts: bool = True) -> None:
        now = time.time_ns() // 1_000
        self._must_become(comeback.start_failed(self.policy, self._run, now, counts=counts), *WAITING)
        self.warnings = (f"the last try to start it again failed: {why}",)
        self._tell("Warnings")
        if self.state is State.RESTARTING:
            self._plan(why, told=True)
        else:
            supervise.note_given_up(self, self._run, why)

    def is_being_stopped(self, why: str) -> None:
        """By PID 1, which does not leave it to us."""
        if self.state is State.RESTARTING:
            self._wait_no_more(why)
        elif self.state.can_be_signalled and not self._run.stopped_for:
            self._must_become(replace(self._run, state=State.STOPPING, stopped_for=why), "State")

    def _is_being_killed(self, number: int) -> None:
        """By somebody, who means that it shall stay so, as with docker and podman, if the signal is one to end it by.

        What is a service is PID 1's to start again, and there systemctl kill is no such wish either.
        """
        deadly = number in (signal.SIGKILL, self.spec.stop_signal)
        if deadly and self.policy.policy != NO and not self.place.is_service and not self._run.stopped_for:
            self._must_become(replace(self._run, stopped_for=comeback.ASKED))

    def _wait_no_more(self, stopped_for: str = "") -> None:
        """It waited for a start, which nobody wants any more."""
        self._must_become(comeback.given_up(self._run, stopped_for), *WAITING)
        self._machinery.restarts.cancel(self.id)

    # Its health

    @property
    def health(self) -> str:
        return self._run.health or NONE

    @property
    def health_results(self) -> tuple[Result, ...]:
        """The last few, while the service runs."""
        return tuple(self._health.results)

    def check_no_more(self) -> None:
        """The service ends."""
        self._health.rest()

    def _judge(self, vitals: Vitals, result: Result) -> None:
        """Unhealthy once is enough to act on; what follows ends the run, and with it the checks."""
        if vitals.health == self._run.health:
            return
        self._must_become(replace(self._run, health=vitals.health), "Health")
        supervise.note_health(self, vitals.health, result.status)
        action = self.spec.health.on_failure if vitals.health == UNHEALTHY else "none"
        if action == "kill":
            self._signal(signal.SIGKILL)
        elif action != "none":
            again = action == "restart"
            self._machinery.tasks.start(self._stop_unhealthy(again=again), f"stop {self.name}, which is unhealthy")

    async def _stop_unhealthy(self, *, again: bool) -> None:
        by_unit = self.place.is_service
        why = comeback.RESTART if again and not by_unit else comeback.UNHEALTHY
        try:
            await self.stop(why=why)
        except (NotRunning, NoSuchContainer):  # somebody else was faster
            return
        if again and by_unit and self.state.can_start:
            await bootunit.start(self._machinery, self.name, attach=False)

    # A network that is another's

    async def lose_network(self, host: str) -> None:
        """The container of that name has ended, and this one had its network. What follows is for its policy to say."""
        supervise.note_network_lost(self, host)
        self.warnings = (f"it was stopped when container {host!r} ended, whose network it has",)
        self._tell("Warnings")
        try:
            if self.place.is_service:  # stopped by PID 1 it would stay so, whatever Restart= says
                await self._end_by_signal()
            else:
                await self.stop(why=comeback.NETWORK)
        except (NotRunning, NoSuchContainer):  # somebody else was faster
            return

    # The small change

    def _become(self, run: Run, *changed: str) -> None:
        self._machinery.store.update(self.record, run)
        self._run = run
        self._tell(*changed)

    def _must_become(self, run: Run, *changed: str) -> bool:
        """For what has already happened: a full disk cannot undo it. Whether it could be stored."""
        try:
            self._become(run, *changed)
        except StoreFailed as error:
            log.error("%s", error)
            self._run = run
            self._tell(*changed)
            return False
        return True
