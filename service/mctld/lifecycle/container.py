# SPDX-License-Identifier: GPL-3.0-or-later
"""One container, from its creation to its removal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import (
    AlreadyRunning,
    MctlError,
    Paused,
    SetupFailed,
    SpawnerUnavailable,
    StoreFailed,
)
from ..runtime import cgroup
from ..runtime.planner import NO_WINDOW
from ..runtime.rootfs import boot_id
from ..state import State
from ..store import Run
from ..systemd import notify
from . import attachment, bootunit, comeback, freezer, lastword, limits, start, supervise, witnesses
from .events import Exit
from .health import Health
from .observation import Observation
from .place import Place, in_scope, units
from .readiness import is_readable
from .relay import drain, kept_name
from .serviced import Serviced
from .stdio import open_for_start
from .supervised import WAITING
from .vitals import STARTING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..networking import Lease
    from ..ports import Port
    from ..restart import RestartPolicy
    from ..store import Record
    from .logs import LogQuery
    from .machinery import Machinery
    from .relay import Relay
    from .start import Window

log = logging.getLogger(__name__)

KILL_TIMEOUT = 10.0  # seconds a killed process may take to die: longer means stuck in the kernel


class Container(Serviced):
    """`removed` is called once, when nothing of it is left to be found."""

    def __init__(
        self, record: Record, run: Run, machinery: Machinery, removed: Callable[[Container, Exit | None], None]
    ) -> None:
        super().__init__(record, run, machinery)
        self._removed = removed
        self._ended = asyncio.Event()
        self._pidfd = -1
        self._observation: Observation | None = None
        self._relays: list[Relay] = []
        self._health = Health(machinery, self, self._judge)
        if not run.state.is_active:
            self._ended.set()

    @property
    def leases(self) -> tuple[Lease, ...]:
        return self._machinery.networks.leases(self.record)

    # What can be done with it

    async def start(
        self, *, stdin: int | None = None, attach: bool = False, window: Window = NO_WINDOW
    ) -> tuple[int, ...]:
        """Returns when the command executes: if attached, the reading ends of its output, or a socket to its terminal.

        window: rows and columns of the terminal.
        """
        async with self._lock:
            self._refuse_if_gone()
            self._refuse_if_unreadable()
            if not self.state.can_start:
                raise AlreadyRunning(f"container {self.name!r} is {self.state.value} already")
            attachment.check(self.spec, stdin, window)
            if not bootunit.owns(self.name):
                return await self._start_anew(in_scope(self.record), stdin, window, attach=attach)
        await bootunit.start(self._machinery, self.name, attach=attach)
        return ()

    async def _start(
        self, place: Place, beginning: Run, stdin: int | None, window: Window, *, attach: bool
    ) -> tuple[int, ...]:
        """beginning: what the run inherits of those before it."""
        self.place = place
        before, beginning = self._run, replace(beginning, boot=boot_id())
        wanted = replace(before, restarts=beginning.restarts, failures=beginning.failures, stopped_for="")
        self._become(replace(wanted, state=State.STARTING, next_start_usec=0, boot=beginning.boot), "State")
        try:
            stdio = open_for_start(self.record, self.unit, self._machinery.relays, stdin, attach=attach)
            try:
                done = await start.start(self._machinery, self.record, place, stdio, window)
            except OSError as error:  # no descriptors, no memory, no room in /run: whatever a start needs of the host
                stdio.abandon()
                raise SetupFailed("prepare the start", error.strerror or error) from error
            except BaseException:
                stdio.abandon()
                raise
        except BaseException:
            self._must_become(before, "State")
            self._machinery.retirement.add([self.unit])
            raise
        self._pidfd, self.warnings = done.pidfd, done.warnings
        notify.keep(kept_name(self.id, lastword.KEPT), done.pidfd)
        self.relay(stdio.relays((done.pid, self.uid_shift, self.uid_shift), done.terminal))
        stdio.close_payload()
        self._must_become(
            replace(
                beginning, state=State.RUNNING, main_pid=done.pid, health=STARTING if self.spec.health else "",
                started_usec=usec(time.time_ns()), started_monotonic_usec=usec(time.monotonic_ns()),
            ),
            *WAITING, "MainPID", "Unit", "ControlGroup", "StartTimestamp", "StartTimestampMonotonic", "ExitHow",
            "ExitStatus", "Warnings", "Health",
        )  # fmt: skip
        self._watch(done.observation)
        supervise.note_started(self, done.pid, self.restarts)
        return stdio.watchers

    async def stop(self, *, timeout_usec: int | None = None, why: str = comeback.ASKED) -> None:
        """The stop signal, then, after the timeout, SIGKILL; returns when nothing runs any more.

        why: of comeback.py. One that waits for a start only waits no more.
        """
        async with self._lock:
            self._refuse_if_gone()
            if self.state is State.RESTARTING:
                self._wait_no_more(why)
                return
            self._refuse_if_not_running()
            paused = self.state is State.PAUSED
            why = comeback.ASKED if self._run.stopped_for == comeback.ASKED else why  # somebody's wish stays
            self._must_become(replace(self._run, state=State.STOPPING, stopped_for=why), "State")
        timeout = self.spec.timeout_stop_usec if timeout_usec is None else timeout_usec
        if self.place.is_service:
            if paused:  # PID 1 would refuse to stop it
                await freezer.let_go(self._machinery.systemd, self.unit)
            patient = bootunit.patience(self.main_pid, timeout_usec or 0)
            await bootunit.stop(self._machinery, self.unit, self._ends_within(timeout / 1_000_000), patient)
        elif timeout:
            self._signal(self.spec.stop_signal)
            if paused:
                await freezer.let_go(self._machinery.systemd, self.unit)
        if not await self._ends_within(timeout / 1_000_000):
            await self._kill_now()

    async def kill(self, number: int, *, everyone: bool = False) -> None:
        self._refuse_if_gone()
        self._refuse_if_not_running()
        if everyone:
            await self._machinery.systemd.kill(self.unit, number)
        else:
            self._signal(number)

    async def freeze(self) -> None:
        """Returns when no process of it runs any more."""
        async with self._lock:
            self._refuse_if_gone()
            freezer.refuse_to_freeze(self)
            await freezer.freeze(self._machinery.systemd, self.unit)
            self._look_at_freezer()

    async def thaw(self) -> None:
        async with self._lock:
            self._refuse_if_gone()
            freezer.refuse_to_thaw(self)
            await self._machinery.systemd.thaw(self.unit)
            self._look_at_freezer()
            freezer.refuse_to_stay_frozen(self)

    async def update(self, changes: Mapping[str, Any], policy: RestartPolicy | None = None) -> None:
        """`changes` are fields of Limits. In force when it returns; where it fails, all is as before."""
        async with self._lock:
            self._refuse_if_gone()
            self._refuse_if_unreadable()
            before = self.spec
            after = replace(before, limits=before.limits.changed(changes), restart=policy or before.restart)
            place = self.place if self.state.is_active else None
            self.record = await limits.change(self._machinery, self.record, after, place)
            await bootunit.renew(self._machinery, self.record)
            changed = list(cgroup.differences(before.limits, after.limits))
            if before.restart != after.restart:
                changed.append("RestartPolicy")
                if self.state is State.RESTARTING and not comeback.may_follow(after.restart, self._run):
                    self._wait_no_more()
            self._machinery.events.changed(self, *changed)

    async def publish(self, *, added: Sequence[Port] = (), removed: Sequence[Port] = ()) -> None:
        """In force when it returns, without a restart; where it fails, all is as before."""
        async with self._lock:
            self._refuse_if_gone()
            self._refuse_if_unreadable()
            self.record = await self._machinery.networks.change_ports(
                self.record, added, removed, running=self.state.is_active
            )
            self._machinery.events.changed(self, "Ports")

    async def remove(self, *, force: bool = False) -> None:
        """Returns when its name is free; what lies on disk is removed behind the caller's back."""
        self._refuse_if_gone()
        if self.state.is_active and force:
            async with self._lock:
                self._run = replace(self._run, stopped_for=comeback.ASKED)  # a start that is under way ends first
            by_unit = self.place.is_service and self.state.can_be_signalled
            await (self.stop(timeout_usec=0) if by_unit else self._kill_now())
        async with self._lock:
            if self._gone:  # removed itself at its end
                return
            if not self.state.can_remove:
                raise AlreadyRunning(f"container {self.name!r} is {self.state.value}: stop it first, or use force")
            await bootunit.forget(self._machinery, self.name)
            self._forget()

    def open_process(self) -> int:
        """A pidfd of the first process, for the caller to close."""
        self._refuse_if_gone()
        self._refuse_if_unreadable()
        self._refuse_if_not_running()
        if self.state is State.PAUSED:
            raise Paused(f"container {self.name!r} is paused: what is executed in it would be frozen too")
        return os.dup(self._pidfd)

    async def wait(self) -> Exit:
        """The end of the current run, or of the last."""
        await self._ended.wait()
        return self.end or Exit("never-started")

    def attach(self) -> tuple[int, ...]:
        """For the caller to close: a socket to its terminal, or the reading ends of what it prints from now on."""
        self._refuse_if_not_running()
        return attachment.attach(self.name, self._relays)

    def resize(self, rows: int, columns: int) -> None:
        self._refuse_if_not_running()
        attachment.terminal(self.name, self._relays).resize(rows, columns)

    def open_log(self, query: LogQuery, *, reader_uid: int) -> int:
        return self._machinery.logs.open(query, self.id, units(self.record), reader_uid=reader_uid)

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
            )  # fmt: skip
            self._must_become(started, "State")
        self._pidfd = pidfd
        self._watch(Observation(self._machinery.watch, self.control_group), resumed=True)

    async def conclude(self, kept: int = -1) -> None:
        """The run is over: say how it ended, to everybody and for good. kept: a descriptor of its process."""
        self._pidfd = max(self._pidfd, kept)
        kills = self._observe_no_more()
        await drain(self._machinery.tasks, self._relays)
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
        stored = self._must_become(
            comeback.concluded(self.policy, before, end, now, boot_id()),
            *WAITING, "MainPID", "ControlGroup", "ExitTimestamp", "ExitTimestampMonotonic", "ExitHow", "ExitStatus",
            "Health",
        )  # fmt: skip
        self._machinery.retirement.add([self.unit])
        self._machinery.events.exited(self, end)
        try:
            if self.spec.auto_remove and not self._kept:
                self._forget()
        except StoreFailed as error:
            log.error("%s", error)  # it stays, as one that has exited
        self._ended.set()
        supervise.note(self, end, comeback.lasted_usec(before, now[1], boot_id()))
        self._follow_up(before, end)
        return stored

    def _watch(self, observation: Observation, *, resumed: bool = False) -> None:
        self._ended.clear()
        self._observation = observation
        self._health.begin(self._run.health, resumed=resumed)
        observation.on_frozen(self._follow_freezer)
        asyncio.get_running_loop().add_reader(self._pidfd, self._on_exit)

    def _observe_no_more(self) -> int:
        """How many processes have been killed for want of memory."""
        self._health.end()
        if self._observation is None:  # it ended before this instance of the service began
            return 0
        self._observation.close()
        kills, self._observation = self._observation.kills, None
        return kills

    def _follow_freezer(self) -> None:
        """Also where an administrator has frozen or thawed the scope, or a slice above it."""
        frozen = self._observation is not None and self._observation.frozen
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
        self._relays = relays
        for relay in relays:
            notify.keep(kept_name(self.id, relay.name), relay.source)
            self._machinery.relays.start(self._pump(relay), f"relay {self.name}")

    async def _pump(self, relay: Relay) -> None:
        await relay.run()
        notify.drop(kept_name(self.id, relay.name))

    def _release(self) -> None:
        if self._pidfd >= 0:
            os.close(self._pidfd)
            notify.drop(kept_name(self.id, lastword.KEPT))
        self._pidfd, self._relays = -1, []

    def _forget(self) -> None:
        self._machinery.store.remove(self.record)
        self._machinery.restarts.cancel(self.id)
        self._gone = True
        self._removed(self, self.end)

    # The small change

    def _tell(self, *changed: str) -> None:
        self._machinery.events.changed(self, *changed)

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

    async def _kill_now(self) -> None:
        """The kernel ends a PID namespace with its first process, pid_namespaces(7)."""
        if self.state.is_active:
            self._signal(signal.SIGKILL)
        if not await self._ends_within(KILL_TIMEOUT):
            raise MctlError(f"container {self.name!r} does not end: a process of it is stuck in the kernel (state D)")

    async def _concluded(self) -> None:
        if self._pidfd >= 0 and is_readable(self._pidfd):
            await self._ended.wait()

    async def _ends_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._ended.wait(), seconds)
        except TimeoutError:
            return False
        return True


def usec(nanoseconds: int) -> int:
    return nanoseconds // 1_000
