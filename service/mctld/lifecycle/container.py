# SPDX-License-Identifier: GPL-3.0-or-later
"""One container, from its creation to its removal: what can be done with it."""

from __future__ import annotations

import contextlib
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from ..errors import AlreadyRunning, InvalidArgs, Paused, SetupFailed
from ..runtime import processes
from ..runtime.planner import NO_WINDOW
from ..state import State
from . import activation, attachment, bootunit, changes, comeback, committing, freezer, limits
from .limits import difference
from .place import in_scope
from .running import Running, happens_within

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from ..change import Change
    from ..image import Image
    from ..networking import Fixed, Network
    from ..ports import Port
    from ..process import Process
    from ..reference import Reference
    from ..store import Record, Run
    from .committing import Configure
    from .events import Exit
    from .logs import LogQuery
    from .machinery import Machinery
    from .start import Window

    # The container with its last end, and with what its removal is to the store.
    Removed = Callable[["Container", Exit | None, int], None]

T = TypeVar("T")


class Container(Running):
    """`removed` is called once, when nothing of it is left to be found."""

    def __init__(self, record: Record, run: Run, machinery: Machinery, removed: Removed) -> None:
        super().__init__(record, run, machinery)
        self._removed = removed

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
                remedy = f": `mctl unpause {self.name}` lets it go on" if self.state is State.PAUSED else ""
                raise AlreadyRunning(f"container {self.name!r} is {self.state.value} already{remedy}")
            attachment.check(self.spec, stdin, window)
            if not bootunit.owns(self.name):
                return await self._start_anew(in_scope(self.record), stdin, window, attach=attach)
        await self._start_by_unit(attach=attach)
        return ()

    async def _start_by_unit(self, *, attach: bool) -> None:
        before = self._run.started_monotonic_usec
        try:
            await bootunit.start(self._machinery, self.name, attach=attach)
        except SetupFailed:
            # What fails before PID 1 has heard that it was executed has failed to start there: nobody else sees it so.
            if self._run.started_monotonic_usec in (0, before) or not self._is_ready_by_execution:
                raise

    async def stop(self, *, timeout_usec: int | None = None, why: str = comeback.ASKED) -> None:
        """The stop signal, then, after the timeout, SIGKILL; returns when nothing runs any more.

        why: of comeback.py. One that waits for a start, by us or by PID 1, only waits no more.
        """
        async with self._lock:
            self._refuse_if_gone()
            if self.state is State.RESTARTING:
                self._wait_no_more(why)
                return
            if not self.state.is_active and await bootunit.stop_waiting(self._machinery, self.name):
                return
            self._refuse_if_not_running()
            paused, ended = self.state is State.PAUSED, self._ended
            why = comeback.ASKED if self._run.stopped_for == comeback.ASKED else why  # somebody's wish stays
            self._must_become(replace(self._run, state=State.STOPPING, stopped_for=why), "State")
        timeout = self.spec.timeout_stop_usec if timeout_usec is None else timeout_usec
        if self.place.is_service:
            if paused:  # PID 1 would refuse to stop it
                await freezer.let_go(self._machinery.systemd, self.unit)
            patient = bootunit.patience(self.main_pid, timeout_usec or 0)
            await bootunit.stop(self._machinery, self.unit, happens_within(ended, timeout / 1_000_000), patient)
        elif timeout:
            self._signal(self.spec.stop_signal)
            if paused:
                await freezer.let_go(self._machinery.systemd, self.unit)
        if not await happens_within(ended, timeout / 1_000_000):
            await self._kill_now(ended)

    async def kill(self, number: int, *, everyone: bool = False) -> None:
        self._refuse_if_gone()
        self._refuse_if_not_running()
        self._is_being_killed(number)
        if everyone:
            async with self._ending_explains():
                await self._machinery.systemd.kill(self.unit, number)
        else:
            self._signal(number)

    async def freeze(self) -> None:
        """Returns when no process of it runs any more."""
        async with self._lock:
            self._refuse_if_gone()
            freezer.refuse_to_freeze(self)
            async with self._ending_explains():
                await freezer.freeze(self._machinery.systemd, self.unit)
            self._look_at_freezer()

    async def thaw(self) -> None:
        async with self._lock:
            self._refuse_if_gone()
            freezer.refuse_to_thaw(self)
            async with self._ending_explains():
                await self._machinery.systemd.thaw(self.unit)
            self._look_at_freezer()
            freezer.refuse_to_stay_frozen(self)

    async def update(self, change: Change) -> None:
        """In force when it returns; where it fails, all is as before."""
        async with self._lock:
            self._refuse_if_gone()
            self._refuse_if_unreadable()
            before, after = self.spec, change.of(self.spec)
            if self.state is State.PAUSED and limits.need_pid_1(before, after):
                what = f"container {self.name!r} is paused, and PID 1 changes neither limits nor rules of a frozen unit"
                raise Paused(f"{what}: `mctl unpause {self.name}` first")
            place = self.place if self.state.is_active else None
            with self.lent() as process:
                await limits.change(self._machinery, self.record, after, place, process, self._show)
            self._machinery.events.changed(self, *difference(before, after))
            unwanted = before.restart != after.restart and not comeback.may_follow(after.restart, self._run)
            if unwanted and self.state is State.RESTARTING:
                self._wait_no_more()

    def _show(self, record: Record) -> None:
        self.record = record

    async def publish(self, *, added: Sequence[Port] = (), removed: Sequence[Port] = ()) -> None:
        """In force when it returns, without a restart; where it fails, all is as before."""
        async with self._reached_otherwise("Ports"):
            self.record = await self._machinery.networks.change_ports(
                self.record, added, removed, running=self.state.is_active
            )

    async def connect(self, network: Network, wanted: Fixed, aliases: tuple[str, ...]) -> None:
        """In force when it returns, without a restart; where it fails, all is as before."""
        async with self._reached_otherwise("Networks", "Addresses", "ConnectionAliases") as process:
            networks = self._machinery.networks
            self.record = await networks.connect(self.record, network, wanted, aliases, process)

    async def disconnect(self, network: Network) -> None:
        async with self._reached_otherwise("Networks", "Addresses", "ConnectionAliases") as process:
            self.record = await self._machinery.networks.disconnect(self.record, network, process)

    @contextlib.asynccontextmanager
    async def _reached_otherwise(self, *changed: str) -> AsyncIterator[int | None]:
        """As lent(). If it ends meanwhile nothing leads to it, however far the change has come."""
        async with self._lock:
            self._refuse_if_gone()
            self._refuse_if_unreadable()
            try:
                with self.lent() as process:
                    yield process
            finally:
                if not self.state.is_active:
                    self._machinery.networks.detached(self.record)
            self._machinery.events.changed(self, *changed)

    async def export(self, output: int, uid: int, *, pause: bool = True) -> None:
        """What its root file system shows, as an archive into a file, pipe or socket of the caller's."""
        self._refuse_if_gone()
        self._refuse_if_unreadable()
        await committing.export(self._machinery, self, output, uid, pause=pause)

    async def list_changes(self, output: int, uid: int) -> None:
        """What it has changed of that, as a list into a file, pipe or socket of the caller's."""
        self._refuse_if_gone()
        self._refuse_if_unreadable()
        await changes.list_changes(self._machinery, self, output, uid)

    async def commit(
        self, uid: int, references: Sequence[Reference], configure: Configure, *, private: bool, pause: bool = True
    ) -> tuple[Image, int]:
        """An image of `uid`'s, and how many devices and sockets it lacks."""
        self._refuse_if_gone()
        self._refuse_if_unreadable()
        return await committing.commit(
            self._machinery, self, uid, references, configure, private=private, pause=pause
        )

    async def remove(self, *, force: bool = False) -> None:
        """Returns when its name is free; what lies on disk is removed behind the caller's back."""
        self._refuse_if_gone()
        if force and self._lock.is_anothers:
            await self._end_for_good()  # whoever has the precedence may wait for that for long
        async with self._lock.taken():
            if force:
                await self._end_for_good()  # who had the precedence has started it
            async with self._lock:
                if self._gone and force:  # removed itself at its end
                    return
                self._refuse_if_gone()
                if not self.state.can_remove:
                    raise AlreadyRunning(
                        f"container {self.name!r} is {self.state.value}: stop it first, or `mctl rm -f {self.name}`"
                    )
                await bootunit.forget(self._machinery, self.name)
                await activation.deafen(self._machinery, self.record)
                self._forget()
        await activation.hang_up(self._machinery, self.record)

    async def _end_for_good(self) -> None:
        """Unless nothing runs: it is to be removed."""
        if not self.state.is_active:
            return
        await activation.deafen(self._machinery, self.record)  # else the next caller starts it again
        async with self._lock:  # a start that is under way ends first
            if not self.state.is_active:
                return
            by_unit, ended = self.place.is_service, self._ended
            state = self.state if by_unit else State.STOPPING
            self._must_become(replace(self._run, state=state, stopped_for=comeback.ASKED), "State")
        await (self.stop(timeout_usec=0) if by_unit else self._kill_now(ended))

    def to_oneself(self) -> AbstractAsyncContextManager[None]:
        """For who has just made it."""
        return self._lock.taken()

    @contextlib.asynccontextmanager
    async def nameless(self) -> AsyncIterator[None]:
        """Nothing of it bears its name meanwhile: no scope, no unit of PID 1's, no entry of a name server."""
        async with self._lock:
            self._refuse_if_gone()
            self._refuse_if_unreadable()
            if not self.state.can_start or self.state is State.RESTARTING:
                what = f"container {self.name!r} is {self.state.value}, and its unit has its name"
                raise AlreadyRunning(f"{what}: stop it first")
            if self.spec.activation:
                unit = f"mctl-activate@{self.name}.socket"
                raise InvalidArgs(f"container {self.name!r} is started by connections to {unit}, which has its name")
            if self.enabled or bootunit.owns(self.name):
                unit = f"mctl@{self.name}.service"
                raise InvalidArgs(f"container {self.name!r} is started at boot by {unit}: `mctl disable` it first")
            yield

    def attach(self) -> tuple[int, ...]:
        """For the caller to close: a socket to its terminal, or the reading ends of what it prints from now on."""
        self._refuse_if_not_running()
        return attachment.attach(self.name, self._relays)

    def resize(self, rows: int, columns: int) -> None:
        self._refuse_if_not_running()
        attachment.terminal(self.name, self._relays).resize(rows, columns)

    async def processes(self, told: Callable[[Sequence[Process]], T], ready: Callable[[], Awaitable[None]]) -> T:
        """What `told` makes of them, in a thread: they may be thousands, and the kernel may have to wait for one."""
        self._refuse_if_gone()
        self._refuse_if_not_running()
        group = self.control_group
        looking, lent = self._machinery.looking, ExitStack()
        return await looking.run(self.owner_uid, lambda: told(processes.read(group)), lent, lambda _: None, ready)

    def open_log(self, query: LogQuery, *, reader_uid: int) -> int:
        return self._machinery.logs.open(query, self, reader_uid=reader_uid)

    def follow_log(self, query: LogQuery, *, reader_uid: int) -> tuple[int, int]:
        return self._machinery.logs.follow(query, self, reader_uid=reader_uid)

    def _forget(self) -> None:
        told = self._machinery.store.remove(self.record)
        self._machinery.restarts.cancel(self.id)
        self._gone = True
        self._removed(self, self.end, told)
        self._machinery.logs.followers.look(self)

    def _tell(self, *changed: str) -> None:
        self._machinery.events.changed(self, *changed)
        self._machinery.logs.followers.look(self)

    def _tell_end(self, end: Exit) -> None:
        self._machinery.events.exited(self, end)
