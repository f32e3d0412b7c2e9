# SPDX-License-Identifier: GPL-3.0-or-later
"""After a start of the service: what the store remembers, made to agree with what runs."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from typing import TYPE_CHECKING

from ..errors import StoreFailed
from ..runtime import notification
from ..state import State
from ..systemd import journal, notify
from . import (
    activation,
    announcements,
    bootunit,
    cutoff,
    healthlog,
    interrupted,
    lastword,
    outlet,
    probe,
    standstill,
    stdio,
    vacancy,
    witnesses,
)
from .exec import PREFIX
from .place import control_group_of, found, in_scope, in_service
from .stdio import Lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..store import Record, Run
    from .container import Container
    from .machinery import Machinery
    from .place import Place
    from .registry import Registry

PATIENCE = 3.0  # seconds for FIFOs to be opened: who is stuck goes on by itself

log = logging.getLogger(__name__)


async def recover(machinery: Machinery, registry: Registry) -> None:
    """Each container is either found again, with its first process, or its end is told."""
    for sentence in machinery.store.told:
        log.error("%s", sentence)
    machinery.volumes.recover()
    children, kept = await machinery.spawner.connect(), notify.kept()
    stored_ones = list(machinery.store.load())
    await machinery.journals.restore(record.owner_uid for record, _ in stored_ones)
    looking: list[asyncio.Task[None]] = []
    for record, stored in stored_ones:
        run = await _without_half_a_start(machinery, record, stored, children)
        container = registry.restore(record, run)
        if record.fault:
            log.error("What is stored of container %s cannot be read: %s", container.name, record.fault)
        if run.state.is_active or _has_run(machinery, record, run, children):
            container.place, pid = _traced(record, run, children.pop(record.id, 0))
            claimed = container.kept.claim(kept)
            process, heard = claimed.pop(lastword.KEPT, None), claimed.pop(announcements.KEPT, None)
            looking += _resume(machinery, container, pid, claimed)
            if heard is not None:
                container.hear(socket.socket(fileno=heard))
            await _find_again(machinery, container, pid, process)
            container.warn_if_unheard()
    if looking:
        await asyncio.wait(looking, timeout=PATIENCE)
    await registry.execs.recover([name for name in children if name.startswith(PREFIX)])
    for name in [name for name in children if name.startswith(probe.PREFIX)]:
        machinery.tasks.start(probe.clear_away(machinery, name), f"clear away {name}")
    await _let_go(machinery, children, kept)
    await machinery.spawner.renew()
    await machinery.networks.restore([(c.record, c.lent) for c in registry.all() if c.state.is_active])
    registry.transfers.recover()
    await standstill.end_all(machinery, registry.all())
    await cutoff.end_all(machinery, registry.all())
    _sweep(machinery, registry)
    await bootunit.sweep(machinery, {container.name for container in registry.all()})
    known = [container.record for container in registry.all()]
    unreadable = {record.spec.name for record in known if record.fault}
    await activation.restore(machinery, [r for r in known if not r.fault], unreadable=unreadable)
    registry.revive()


def _resume(
    machinery: Machinery, container: Container, pid: int, kept: Mapping[str, int]
) -> list[asyncio.Task[None]]:
    """Output is relayed again; the tasks look for more of it."""
    lines = Lines(machinery.journals, container.record, container.unit)
    crew = machinery.readers.of(container.owner_uid)
    container.relay(stdio.resume(container, pid, kept, machinery.relays, lines, crew))
    directory = f"{machinery.settings.containers}/{container.id}"
    found = [(name, outlet.find(directory, name)) for name, _ in stdio.STREAMS if name not in kept]
    return [
        machinery.relays.start(stdio.find_again(container, pid, name, path, lines, crew), f"find {path}")
        for name, path in found
        if path is not None
    ]


async def _without_half_a_start(machinery: Machinery, record: Record, run: Run, children: dict[str, int]) -> Run:
    if run.state is not State.STARTING:
        return run
    _, seen = _witnessed(record) or (None, 0)
    pid = children.get(record.id, 0) or seen
    if not await interrupted.came_to_nothing(machinery, record, pid):
        return run
    children.pop(record.id, None)
    log.info("The start of container %s was cut off before its command was executed", record.spec.name)
    before = interrupted.undone(record, run)
    try:
        machinery.store.update(record, before)
    except StoreFailed as error:
        log.error("%s", error)
    return before


def _has_run(machinery: Machinery, record: Record, run: Run, children: Mapping[str, int]) -> bool:
    """Whether there is a run to be looked after of which the store knows nothing: it was put back from a copy."""
    if _witnessed(record):
        return True
    if record.id not in machinery.store.restored:
        return False
    started = os.path.exists(f"{machinery.settings.containers}/{record.id}/upper")
    return record.id in children or (started and not run.how)


def _traced(record: Record, run: Run, born: int) -> tuple[Place, int]:
    """The place and the first process of what was its run. born: the spawner's child of that name, or 0.

    What is gone was PID 1's child if the unit is the container's own, and the spawner has forgotten it otherwise.
    """
    if born:
        return in_scope(record), born
    if run.main_pid:
        gone = in_service(record) if bootunit.owns(record.spec.name) else in_scope(record)
        return found(record, control_group_of(run.main_pid)) or gone, run.main_pid
    return _witnessed(record) or (in_scope(record), 0)


def _witnessed(record: Record) -> tuple[Place, int] | None:
    for place in (in_scope(record), in_service(record)):
        if pid := witnesses.first_process(place.control_group):
            return place, pid
    return None


async def _let_go(machinery: Machinery, children: dict[str, int], kept: dict[str, int]) -> None:
    """What belongs to no run any more: statuses that a crash kept from being acknowledged, unclaimed descriptors."""
    for name in children:
        if not name.startswith((PREFIX, probe.PREFIX)):
            await machinery.spawner.forget(name)
    for name, descriptor in kept.items():
        log.info("nobody claims the kept descriptor %s", name)
        notify.drop(name)
        os.close(descriptor)


async def _find_again(machinery: Machinery, container: Container, pid: int, kept: int | None) -> None:
    """kept: a descriptor of the first process, if PID 1 has one."""
    match _open_if_ours(container.record, pid):
        case None:
            await container.conclude(-1 if kept is None else kept)
        case pidfd, place:
            if kept is None:
                container.kept.keep(lastword.KEPT, pidfd)
            else:
                os.close(kept)
            if place.is_service:
                await machinery.systemd.hold(place.unit)
            container.adopt(place, pid, pidfd)


def _open_if_ours(record: Record, pid: int) -> tuple[int, Place] | None:
    """A descriptor of that process, if it lives in a unit of the container's: a pid alone proves nothing."""
    if not pid:
        return None
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    place = found(record, control_group_of(pid))
    if place is None:
        os.close(pidfd)
        return None
    return pidfd, place


def _sweep(machinery: Machinery, registry: Registry) -> None:
    """What a crash has left behind: files of containers that no longer exist, fields of units that have ended."""
    known = {container.id for container in registry.all()}
    directory = machinery.settings.containers
    os.makedirs(directory, 0o700, exist_ok=True)
    for name in set(os.listdir(directory)) - known:
        machinery.disposal.add(f"{directory}/{name}")
    notification.sweep(machinery.settings.staging)
    healthlog.sweep(machinery.settings.health, (c.id for c in registry.all() if c.state.is_active))
    vacancy.announce_all(registry.uses_unit)
    machinery.retirement.add(unit for unit in journal.published() if not registry.uses_unit(unit))
