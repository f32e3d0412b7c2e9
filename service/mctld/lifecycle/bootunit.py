# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl@NAME.service: a container that PID 1 starts, watches and stops as any service."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from typing import TYPE_CHECKING

from ..errors import InvalidArgs, MctlError, SetupFailed
from ..runtime import remains
from ..runtime.launch import Status
from ..spec import BY_EXECUTION, Rootfs
from ..systemd import notify, overrides, service
from . import devices, place, traffic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable
    from contextlib import AbstractAsyncContextManager

    from ..store import Record
    from .machinery import Machinery
    from .place import Place

ASK_EVERY = 0.5  # seconds: shorter than a unit's timeout is of use
ASKED_FOR_USEC = 5_000_000
START_USEC = 600_000_000  # a root directory that has to be copied, a disk that is slow

log = logging.getLogger(__name__)


def settings(machinery: Machinery, record: Record) -> str:
    """What the unit has to know of the container: the text of its drop-in."""
    spec = record.spec
    paths = [machinery.settings.containers, *(bind.source.path for bind in spec.binds)]
    if isinstance(spec.rootfs, Rootfs):
        paths.append(spec.rootfs.path)
    return service.drop_in(
        spec.name,
        record.owner_uid,
        limits=spec.limits,
        devices=spec.devices if devices.are_ruled(spec) else None,
        stop_signal=spec.stop_signal,
        timeout_stop_usec=machinery.settings.quotas.patience(spec.timeout_stop_usec, record.owner_uid),
        restart=spec.restart,
        paths=paths,
        networked=bool(spec.networking.networks),
        awaited=spec.sd_notify != BY_EXECUTION,
        counted=traffic.is_counted(spec),
    )


def owns(name: str) -> bool:
    """Whether the container is started by its unit, whoever asks."""
    return service.read_drop_in(name) is not None


async def enable(machinery: Machinery, record: Record) -> None:
    """It starts at boot from now on. Not now."""
    if record.spec.auto_remove:
        raise InvalidArgs(f"container {record.spec.name!r} is removed when it ends (--rm): nothing is left for a boot")
    name, wanted = record.spec.name, settings(machinery, record)
    if service.read_drop_in(name) == wanted and service.is_enabled(name):
        return
    service.write_drop_in(name, wanted)
    await machinery.systemd.enable(service.unit_name(name))
    await machinery.systemd.reload()


async def disable(machinery: Machinery, name: str, *, keep: bool) -> None:
    """It starts at boot no more. keep: it runs, and PID 1 has to know how to stop it."""
    if not service.is_enabled(name) and (keep or not owns(name)):
        return
    await machinery.systemd.disable(service.unit_name(name))
    if not keep:
        service.remove_drop_in(name)
    await machinery.systemd.reload()


async def renew(machinery: Machinery, record: Record) -> None:
    """The container's limits may have changed: so do the unit's, at once where it runs."""
    if service.read_drop_in(record.spec.name) not in (None, wanted := settings(machinery, record)):
        service.write_drop_in(record.spec.name, wanted)
        await machinery.systemd.reload()


async def forget(machinery: Machinery, name: str) -> None:
    """There is no such container any more."""
    if owns(name) or service.is_enabled(name):
        await machinery.systemd.stop_rest(service.unit_name(name))  # it may be about to be restarted
        overrides.remove(service.unit_name(name))
        await disable(machinery, name, keep=False)
        await machinery.systemd.reset_failed(service.unit_name(name))


async def prepare(machinery: Machinery, record: Record) -> Place:
    """Where PID 1 wants the container now. Raises where it does not want it."""
    name, unit = record.spec.name, service.unit_name(record.spec.name)
    if record.spec.auto_remove:
        raise InvalidArgs(f"container {name!r} is removed when it ends (--rm): it cannot be a service")
    found = await machinery.systemd.service(unit)
    launcher = found["ControlPID"]
    if found["SubState"] != "start" or not launcher:
        raise InvalidArgs(f"{unit} is not being started: systemctl start {unit} does that")
    await _inform(machinery, record, found["NeedDaemonReload"], found["Slice"])
    return place.Place(unit, found["ControlGroup"], launcher)


async def _inform(machinery: Machinery, record: Record, outdated: bool, slice_: str) -> None:  # noqa: FBT001
    """Whoever has enabled it by systemctl alone has not told PID 1 what belongs to the container. A cgroup stays where
    it is, so a unit in the wrong slice is started anew."""
    name, wanted = record.spec.name, settings(machinery, record)
    if service.read_drop_in(name) == wanted and not outdated:
        return
    service.write_drop_in(name, wanted)
    await machinery.systemd.reload()
    if f"Slice={slice_}" in wanted.splitlines():
        return
    unit = service.unit_name(name)
    await machinery.systemd.restart_soon(unit)
    raise SetupFailed(f"start {unit} in {slice_}", "it belongs into its owner's slice, where it is started anew now")


async def start(machinery: Machinery, name: str, *, attach: bool) -> None:
    """By its unit, which comes back to us. Returns when the command is executed."""
    unit = service.unit_name(name)
    if attach:
        raise InvalidArgs(f"{unit} starts the container, with the journal as its output: see mctl logs -f {name}")
    await machinery.systemd.reset_failed(unit)
    await machinery.systemd.start(unit)


async def status(machinery: Machinery, unit: str, pid: int, pidfd: int) -> Status:
    """What PID 1 knows of how its main process has ended, if it was that one.

    When PID 1 answers it has reaped it. `systemctl restart` makes PID 1 forget at once: then the kernel may know.
    """
    try:
        found = await machinery.systemd.service(unit)
    except MctlError as error:
        log.warning("%s cannot be asked how its main process has ended: %s", unit, error)
        return Status()
    with contextlib.suppress(MctlError):
        await machinery.systemd.let_go(unit)
    if not pid or found["ExecMainPID"] != pid or not found["ExecMainCode"]:
        return remains.status(pid, pidfd) if pidfd >= 0 else Status()
    return Status(pid, found["ExecMainCode"], found["ExecMainStatus"])


async def stop(
    machinery: Machinery, unit: str, in_time: Awaitable[bool], patient: AbstractAsyncContextManager[None]
) -> None:
    """Also systemd shall know that this end is wanted. Returns when its processes are gone.

    PID 1 waits for as long as the unit says; where a longer time is wished, `patient` until it is told to kill.
    in_time: ends when the run does, or after the time; whether it was the run.
    """
    async with patient:
        stopping = asyncio.ensure_future(machinery.systemd.stop(unit))
        if not await in_time:
            with contextlib.suppress(MctlError):  # it has just ended
                await machinery.systemd.kill(unit, signal.SIGKILL)
    await stopping


async def stop_waiting(machinery: Machinery, name: str) -> bool:
    """Whether it was PID 1's to start again, as Restart= of its unit has it, and is no more."""
    unit = service.unit_name(name)
    if not owns(name) or await machinery.systemd.is_down(unit):
        return False
    await machinery.systemd.stop(unit)
    return True


@contextlib.asynccontextmanager
async def patience(pid: int, most_usec: int) -> AsyncIterator[None]:
    """Of PID 1's, while it waits for the process to become ready or to end: EXTEND_TIMEOUT_USEC of sd_notify(3)."""
    asking = asyncio.ensure_future(_ask_for_patience(pid, most_usec))
    try:
        yield
    finally:
        asking.cancel()


async def _ask_for_patience(pid: int, most_usec: int) -> None:
    """Again and again, since what is said before PID 1 waits is not heard."""
    loop = asyncio.get_running_loop()
    until = loop.time() + most_usec / 1_000_000
    while loop.time() < until:
        await asyncio.sleep(ASK_EVERY)
        with contextlib.suppress(OSError):  # it has just ended
            await notify.speak_for(pid, f"EXTEND_TIMEOUT_USEC={ASKED_FOR_USEC}")


async def sweep(machinery: Machinery, known: set[str]) -> None:
    """What a crash has left of containers that no longer exist."""
    try:
        for name in set(service.written()) - known:
            await forget(machinery, name)
    except MctlError as error:
        log.error("What a removed container has left cannot be removed: %s", error)
