# SPDX-License-Identifier: GPL-3.0-or-later
"""One check of a container's health: its command inside, bound as an exec's is, with a bounded output.

Nobody but the service has asked for it, so it is none of the execs that are listed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import time
from typing import TYPE_CHECKING

from ..errors import CommandNotExecutable, CommandNotFound, MctlError, NotRunning, Paused, SpawnerUnavailable
from ..execution import Execution
from .entry import enter
from .exec import About, Exec
from .readiness import readable
from .vitals import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .crew import Crew
    from .events import Exit
    from .held import Held
    from .machinery import Machinery
    from .running import Running
    from .tasks import Tasks

PREFIX = "probe:"  # of the process, to the spawner
OUTPUT_MAX = 4_096  # bytes that are kept, as docker does; more is read and thrown away
FINISH_TIMEOUT = 2.0  # seconds until what is left of its output is read
NOT_FOUND, NOT_EXECUTABLE, FAILED = 127, 126, 125  # as a shell and docker have them
TIMED_OUT = 124  # as timeout(1)
NOT_ITS_FAULT = (SpawnerUnavailable, NotRunning, Paused)
PROCESS_GROUP = 4  # PIDFD_SIGNAL_PROCESS_GROUP, linux/pidfd.h; since Linux 6.9


class Probe(Exec):
    """The process. Its end is told to nobody."""

    def __init__(self, container: Running, machinery: Machinery) -> None:
        spec = container.spec
        about = About(
            id=secrets.token_hex(8), container=container.name, container_id=container.id,
            owner_uid=container.owner_uid, by_uid=0, command=spec.health.command, user=str(spec.user),
        )  # fmt: skip
        super().__init__(about, machinery, lambda _: None)
        self.timed_out = False

    @property
    def name(self) -> str:
        return PREFIX + self.about.id

    def expire(self) -> None:
        """It has taken too long."""
        self.timed_out = True
        self.end_all()

    def end_all(self) -> None:
        """With all that it has started, where the kernel can tell: it leads a process group."""
        if self._pidfd < 0:
            return
        with contextlib.suppress(ProcessLookupError):
            try:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL, None, PROCESS_GROUP)
            except OSError as error:
                if isinstance(error, ProcessLookupError):
                    raise
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)


class Output:
    """Reads pipes to their ends, and keeps the beginning of what comes."""

    def __init__(self, streams: Sequence[int], crew: Crew, tasks: Tasks, container: str) -> None:
        what = f"output of a health check of container {container}"
        self._kept = bytearray()
        self._held = [crew.hold(stream, what) for stream in streams]
        self._reading = [tasks.start(self._read(held), f"read {what}") for held in self._held]

    async def finish(self) -> str:
        """What there was, as text for the bus. Children that hold the other ends are waited for by nobody."""
        for task in self._reading:
            task.cancel()
        await asyncio.gather(*self._reading, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FINISH_TIMEOUT):
                for held in self._held:
                    await self._read_what_is_there(held)
        for held in self._held:
            held.close()
        return self._kept.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")

    async def _read(self, held: Held) -> None:
        while True:
            try:
                if not await self._keep(held):
                    return
            except BlockingIOError:
                await readable(held.descriptor)

    async def _read_what_is_there(self, held: Held) -> None:
        nothing = 0
        while nothing < 2 and len(self._kept) < OUTPUT_MAX:  # the first time may be of what was looked at before
            try:
                if not await self._keep(held):
                    return
            except BlockingIOError:
                nothing += 1

    async def _keep(self, held: Held) -> bytes:
        data = await held.look()
        self._kept += data[: OUTPUT_MAX - len(self._kept)]
        if data:
            await held.take(len(data))
        return data


async def run(probe: Probe, machinery: Machinery, container: Running) -> Result:
    """Returns when it has ended. Cancelled, it ends it. Raises what is no fault of the container."""
    began = time.time_ns() // 1_000
    try:
        execution = Execution(container.spec.health.command)
        entered = await enter(machinery, container, execution, probe, stdin=None, attach=True)
    except NOT_ITS_FAULT:
        raise
    except MctlError as error:
        return Result(began, time.time_ns() // 1_000, _status_of(error), str(error)[:OUTPUT_MAX])
    probe.watch(entered.pid, entered.pidfd)
    crew = machinery.readers.of(container.owner_uid)
    output = Output(entered.streams, crew, machinery.relays, container.name)
    try:
        if probe.timed_out:  # while it was on its way in
            probe.end_all()
        end = await probe.wait()
    finally:
        probe.end_all()
        text = await output.finish()
        machinery.tasks.start(_forget(probe, machinery), f"forget {probe.name}")
    if probe.timed_out:
        timeout = container.spec.health.timeout_usec / 1_000_000
        return Result(began, time.time_ns() // 1_000, TIMED_OUT, f"{text}\n[killed after {timeout:g} s]".lstrip())
    return Result(began, time.time_ns() // 1_000, _status(end), text)


async def _forget(probe: Probe, machinery: Machinery) -> None:
    with contextlib.suppress(MctlError):  # the spawner is gone, and what it knew with it
        await probe.wait()
        await machinery.spawner.forget(probe.name)


async def clear_away(machinery: Machinery, name: str) -> None:
    """One that an earlier instance of the service has started: nobody waits for its answer any more."""
    status = await machinery.spawner.status(name)
    if status.code is None and status.pid is not None:
        with contextlib.suppress(ProcessLookupError):
            pidfd = os.pidfd_open(status.pid)
            try:
                if (await machinery.spawner.status(name)).code is None:  # so the pid was nobody else's then
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                    await readable(pidfd)
            finally:
                os.close(pidfd)
    await machinery.spawner.forget(name)


def _status(end: Exit) -> int:
    return end.status if end.how == "exited" else 128 + end.status if end.how != "unknown" else FAILED


def _status_of(error: MctlError) -> int:
    if isinstance(error, CommandNotFound):
        return NOT_FOUND
    return NOT_EXECUTABLE if isinstance(error, CommandNotExecutable) else FAILED
