# SPDX-License-Identifier: GPL-3.0-or-later
"""The run of a container: its first process, what is watched of it and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING

from .. import disk
from ..errors import MctlError, NotRunning, Paused, SetupFailed, SpawnerUnavailable, StoreFailed
from ..runtime.rootfs import boot_id
from ..state import State
from ..store import Run
from . import comeback, lastword, start, supervise, witnesses
from .announcing import Announcing
from .events import Exit
from .health import Health
from .keeping import OF_A_RUN
from .observation import Observation
from .readiness import is_readable
from .relay import drain
from .stdio import Lines, open_for_start
from .supervised import WAITING
from .vitals import STARTING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from ..networking import Lease
    from ..store import Record
    from .machinery import Machinery
    from .place import Place
    from .relay import Relay
    from .start import Started, Window

log = logging.getLogger(__name__)

ENDED = (
    *WAITING, "MainPID", "ControlGroup", "ExitTimestamp", "ExitTimestampMonotonic", "ExitHow", "ExitStatus", "Health",
    "Ready", "StatusText",
)  # fmt: skip
GRACE = 0.5  # seconds in which a container that is ending may prove it
KILL_TIMEOUT = 10.0  # seconds a killed process may take to die: longer means stuck in the kernel


class Running(Announcing):
    def __init__(self, record: Record, run: Run, machinery: Machinery) -> None:
        super().__init__(record, run, machinery)
        self._ended = asyncio.Event()
        self._frozen = asyncio.Event()
        self._dying = 0
        self._pidfd = -1
        self._observation: Observation | None = None
        self._relays: list[Relay] = []
        self._health = Health(machinery, self, self._judge)
        if not run.state.is_active:
            self._ended.set()
        self._look_whether_turned()

    @abstractmethod
    def _tell_end(self, end: Exit) -> None: ...

    @property
    def leases(self) -> tuple[Lease, ...]:
        return self._machinery.networks.leases(self.record)

    async def _start(
        self, place: Place, beginning: Run, stdin: int | None, window: Window, *, attach: bool
    ) -> tuple[int, ...]:
        """beginning: what the run inherits of those before it."""
        self.kept.check(OF_A_RUN)
        self.place = place
        before, beginning = self._run, replace(beginning, boot=boot_id())
        wanted = replace(before, restarts=beginning.restarts, failures=beginning.failures, stopped_for="")
        self._become(replace(wanted, state=State.STARTING, next_start_usec=0, boot=beginning.boot), "State")
        self._look_whether_turned()
        try:
            relays, directory = self._machinery.relays, f"{self._machinery.settings.containers}/{self.id}"
            warnings = await self._machinery.journals.prepare(self.owner_uid)
            lines = Lines(self._machinery.journals, self.record, self.unit)
            crew = self._machinery.readers.of(self.owner_uid)
            stdio = open_for_start(lines, relays, crew, directory, stdin, self.kept, attach=attach)
            try:
                done = await start.start(self._machinery, self.record, place, stdio, window)
            except OSError as error:  # no descriptors, no memory, no room in /run: whatever a start needs of the host
                stdio.abandon()
                raise SetupFailed("prepare the start", disk.told_of_file(error)) from error
            except BaseException:
                stdio.abandon()
                raise
        except BaseException:
            self._must_become(before, "State")
            self._look_whether_turned()
            self._machinery.retirement.add([self.unit])
            raise
        self._pidfd, self.warnings = done.pidfd, (*done.warnings, *warnings)
        self.kept.keep_soon(lastword.KEPT, done.pidfd)
        self.relay(stdio.relays((done.pid, self.uid_shift, self.uid_shift), done.terminal))
        stdio.close_payload()
        self._has_begun(beginning, done)
        supervise.note_started(self, done.pid, self.restarts)
        return stdio.watchers

    def _has_begun(self, beginning: Run, done: Started) -> None:
        self._must_become(
            replace(
                beginning, state=State.RUNNING, main_pid=done.pid, health=STARTING if self.spec.health else "",
                ready=self._is_ready_by_execution,
                started_usec=usec(time.time_ns()), started_monotonic_usec=usec(time.monotonic_ns()),
            ),
            *WAITING, "MainPID", "Unit", "ControlGroup", "StartTimestamp", "StartTimestampMonotonic", "ExitHow",
            "ExitStatus", "Warnings", "Health", "Ready", "StatusText",
        )  # fmt: skip
        self._watch(done.observation)
        if done.channel:
            self.hear(done.channel)
        self._machinery.sharing.look_after(self)

    def open_network(self) -> int:
        """A pidfd of who is in its network, for the caller to close; one that is paused does as well."""
        self._refuse_if_gone()
        self._refuse_if_not_running()
        return os.dup(self._pidfd)

    def open_process(self) -> int:
        """A pidfd of the first process, for the caller to close."""
        self._refuse_if_gone()
        self._refuse_if_unreadable()
        self._refuse_if_not_running()
        if self.state is State.PAUSED:
            raise Paused(f"container {self.name!r} is paused: what is executed in it would be frozen too")
        return os.dup(self._pidfd)

    @contextlib.contextmanager
    def lent(self) -> Iterator[int | None]:
        """A pidfd of the first process, which may have ended; or None. The run's own may be closed meanwhile."""
        process = os.dup(self._pidfd) if self._pidfd >= 0 else None
        try:
            yield process
        finally:
            if process is not None:
                os.close(process)

    @contextlib.asynccontextmanager
    async def reached(self) -> AsyncIterator[int | None]:
        """A pidfd of the first process, also of one that is paused; or None, and it is not started meanwhile."""
        async with self._lock:
            self._refuse_if_gone()
            self._refuse_if_unreadable()
            if not self.state.is_active:
                yield None
                return
            process = os.dup(self._pidfd)
        try:
            yield process
        finally:
            os.close(process)

    @property
    def ended(self) -> asyncio.Event:
        """Set with the end of the current run, or of the last."""
        return self._ended

    async def wait_frozen(self) -> None:
        await self._frozen.wait()

    async def wait(self) -> Exit:
        """The end of the current run, or of the last."""
        await self._ended.wait()
        return self.end or Exit("never-started")

    # How it ends

    def adopt(self, place: Place, pid: int, pidfd: int) -> None:
        """Take over a run that an earlier instance of the service has started."""
        self.place = place
        if self._run.main_pid == pid:
            self._run = replace(self._run, state=State.RUNNING)
        else:  # its start was not written down any more, or the store has forgotten it
            started = replace(
                Run(State.RUNNING, pid, *witnesses.started(pid), restarts=self._run.restarts, boot=self._run.boot),
                failures=self._run.failures, health=STARTING if self.spec.health else "",
                ready=self._is_ready_by_execution,
            )  # fmt: skip
            self._must_become(started, "State")
        self._pidfd = pidfd
        self._watch(Observation(self._machinery.watch, self.control_group), resumed=True)

    async def conclude(self, kept: int = -1) -> None:
        """The run is over: say how it ended, to everybody and for good. kept: a descriptor of its process."""
        self._pidfd = max(self._pidfd, kept)
        kills = self._observe_no_more()
        self._hear_no_more()
        await drain(self._machinery.tasks, self._relays)
        await self._machinery.sharing.ended(self.record)
        try:
            status = await lastword.status(self._machinery, self, self._pidfd)
            end = supervise.judge(status, oom_kills=kills)
        except MctlError:
            end = Exit("unknown")
        if self._settle(end) and self._machinery.store.lasts:
            with contextlib.suppress(SpawnerUnavailable):  # it is gone, and what it knew with it
                await self._machinery.spawner.forget(self.id)

    def _settle(self, end: Exit) -> bool:
        """Whether it is written down: if not, the spawner has to remember for the next instance of the service."""
        self._release()
        self._machinery.networks.detached(self.record)
        before, now = self._run, (usec(time.time_ns()), usec(time.monotonic_ns()))
        after = comeback.concluded(self.policy, before, end, now, boot_id())
        leaves = self.spec.auto_remove and not self._kept
        if leaves:  # what is about to be removed from the store need not be written first
            self._run = after
            self._tell(*ENDED)
        stored = leaves or self._must_become(after, *ENDED)
        self._look_whether_turned()
        self._machinery.retirement.add([self.unit])
        self._tell_end(end)
        if leaves:
            stored = self._leave()
        self._ended.set()
        supervise.note(self, end, comeback.lasted_usec(before, now[1], boot_id()))
        self._follow_up(before, end)
        return stored

    def _leave(self) -> bool:
        """Removed at its end, or, where that fails, kept as one that has exited; whether the store knows."""
        try:
            self._forget()
        except StoreFailed as error:
            log.error("%s", error)
            return self._must_become(self._run)
        return True

    def _watch(self, observation: Observation, *, resumed: bool = False) -> None:
        self._ended = asyncio.Event()  # of this run: who waits for the one before has nothing to do with it
        self._look_whether_turned()
        self._observation = observation
        self._health.begin(self._run.health, resumed=resumed)
        observation.on_frozen(self._follow_freezer)
        asyncio.get_running_loop().add_reader(self._pidfd, self._on_exit)

    def _observe_no_more(self) -> int:
        """How many processes have been killed for want of memory."""
        self._health.end()
        self._frozen.clear()
        if self._observation is None:  # it ended before this instance of the service began
            return 0
        self._observation.close()
        kills, self._observation = self._observation.kills, None
        return kills

    def _follow_freezer(self) -> None:
        """Also where an administrator has frozen or thawed the scope, or a slice above it."""
        if self._dying:
            return
        frozen = self._observation is not None and self._observation.frozen
        (self._frozen.set if frozen else self._frozen.clear)()
        before, after = (State.RUNNING, State.PAUSED) if frozen else (State.PAUSED, State.RUNNING)
        if self.state is before:
            self._must_become(replace(self._run, state=after), "State")
            (self._health.freeze if frozen else self._health.thaw)()

    def _on_exit(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._pidfd)
        self._machinery.tasks.start(self.conclude(), f"conclude {self.name}")

    def relay(self, relays: list[Relay]) -> None:
        """PID 1 keeps the reading ends too: when the service ends, the payload waits instead of failing."""
        self._relays = [*self._relays, *relays]
        for relay in relays:
            self.kept.keep(relay.name, relay.source.descriptor)
            self._machinery.relays.start(self._pump(relay), f"relay {self.name}")

    async def _pump(self, relay: Relay) -> None:
        await relay.run()
        if all(other is relay or other.name != relay.name for other in self._relays):  # of the next run
            self.kept.drop(relay.name)

    def _release(self) -> None:
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self.kept.drop(lastword.KEPT)
        for relay in self._relays:
            relay.part()
            if not relay.is_over:
                self.kept.drop(relay.name)
        self._pidfd, self._relays = -1, []

    # The small change

    @contextlib.contextmanager
    def still_frozen(self) -> Iterator[None]:
        """Whoever is killed inside is thawed for that, and the kernel does not call the whole frozen meanwhile."""
        self._dying += 1
        try:
            yield
        finally:
            self._dying -= 1
            self._look_at_freezer()
            self._follow_freezer()

    def _look_at_freezer(self) -> None:
        """The event loop has not come to it yet."""
        if self._observation is not None:
            self._observation.look()

    def _signal(self, number: int) -> None:
        """To the first process, by its pidfd: no other can ever be hit."""
        try:
            signal.pidfd_send_signal(self._pidfd, number)
        except ProcessLookupError:  # it has just ended, which is about to be told
            return

    async def _end_by_signal(self) -> None:
        """The stop signal, then SIGKILL."""
        self._refuse_if_not_running()
        ended = self._ended
        self._signal(self.spec.stop_signal)
        if not await happens_within(ended, self.spec.timeout_stop_usec / 1_000_000):
            await self._kill_now(ended)

    async def _kill_now(self, ended: asyncio.Event) -> None:
        """The kernel ends a PID namespace with its first process, pid_namespaces(7). ended: of the run meant."""
        if not ended.is_set():
            self._signal(signal.SIGKILL)
        if not await happens_within(ended, KILL_TIMEOUT):
            raise MctlError(f"container {self.name!r} does not end: a process of it is stuck in the kernel (state D)")

    async def ends_meanwhile(self, ended: asyncio.Event) -> bool:
        """After a failure: whether that run is over, which explains it."""
        if not await happens_within(ended, GRACE) and ended is self._ended:
            await self._concluded()
        return ended.is_set()

    @contextlib.asynccontextmanager
    async def _ending_explains(self) -> AsyncIterator[None]:
        """PID 1 has many words for a unit that is no more."""
        ended = self._ended
        try:
            yield
        except MctlError as error:
            if await self.ends_meanwhile(ended):
                raise NotRunning(f"container {self.name!r} has ended meanwhile ({error})") from error
            raise

    async def _concluded(self) -> None:
        if self._pidfd >= 0 and is_readable(self._pidfd):
            await self._ended.wait()


async def happens_within(event: asyncio.Event, seconds: float) -> bool:
    """wait_for() would not look where no time is left."""
    with contextlib.suppress(TimeoutError):
        if not event.is_set():
            await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()


def usec(nanoseconds: int) -> int:
    return nanoseconds // 1_000
