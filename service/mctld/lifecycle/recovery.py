# SPDX-License-Identifier: GPL-3.0-or-later
"""After a start of the service: what the store remembers, made to agree with what runs."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from ..errors import SpawnerUnavailable, StoreFailed
from ..state import State
from ..systemd import journal, notify
from . import bootunit, interrupted, lastword, probe, stdio, vacancy, witnesses
from .exec import PREFIX
from .place import found, in_scope, in_service
from .relay import kept_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..store import Record, Run
    from .container import Container
    from .machinery import Machinery
    from .place import Place
    from .registry import Registry

log = logging.getLogger(__name__)


async def recover(machinery: Machinery, registry: Registry) -> None:
    """Each container is either found again, with its first process, or its end is told."""
    for sentence in machinery.store.told:
        log.error("%s", sentence)
    machinery.volumes.recover()
    children, kept = await _children(machinery), notify.kept()
    for record, stored in machinery.store.load():
        run = await _without_half_a_start(machinery, record, stored, children)
        container = registry.restore(record, run)
        if record.fault:
            log.error("What is stored of container %s cannot be read: %s", container.name, record.fault)
        if run.state.is_active or _has_run(machinery, record, run, children):
            container.place, pid = _traced(record, run, children.pop(record.id, 0))
            claimed = _claimed(kept, record.id)
            process = claimed.pop(lastword.KEPT, None)
            container.relay(stdio.resume(record, container.unit, pid, claimed, machinery.relays))
            await _find_again(machinery, container, pid, process)
    await registry.execs.recover([name for name in children if name.startswith(PREFIX)])
    for name in [name for name in children if name.startswith(probe.PREFIX)]:
        machinery.tasks.start(probe.clear_away(machinery, name), f"clear away {name}")
    await _let_go(machinery, children, kept)
    await _renew_spawner(machinery, registry)
    await machinery.networks.restore(c.record for c in registry.all() if c.state.is_active)
    registry.transfers.recover()
    _sweep(machinery, registry)
    await bootunit.sweep(machinery, {container.name for container in registry.all()})
    registry.revive()


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
        return found(record, _control_group(run.main_pid)) or gone, run.main_pid
    return _witnessed(record) or (in_scope(record), 0)


def _witnessed(record: Record) -> tuple[Place, int] | None:
    for place in (in_scope(record), in_service(record)):
        if pid := witnesses.first_process(place.control_group):
            return place, pid
    return None


async def _renew_spawner(machinery: Machinery, registry: Registry) -> None:
    """An upgrade leaves the spawner alone, since it is the parent of what runs. Where nothing runs, it may go."""
    if not machinery.spawner.outdated:
        return
    _, running = registry.count()
    if running:
        log.warning("mctl-spawner.service is of another version: nothing can be started before %d end", running)
    else:
        await machinery.systemd.restart("mctl-spawner.service")


async def _let_go(machinery: Machinery, children: dict[str, int], kept: dict[str, int]) -> None:
    """What belongs to no run any more: statuses that a crash kept from being acknowledged, unclaimed descriptors."""
    for name in children:
        if not name.startswith((PREFIX, probe.PREFIX)):
            await machinery.spawner.forget(name)
    for name, descriptor in kept.items():
        log.info("nobody claims the kept descriptor %s", name)
        notify.drop(name)
        os.close(descriptor)


async def _children(machinery: Machinery) -> dict[str, int]:
    try:
        return await machinery.spawner.connect()
    except SpawnerUnavailable as error:
        log.warning("%s; running containers are found by their cgroups", error)
        return {}


async def _find_again(machinery: Machinery, container: Container, pid: int, kept: int | None) -> None:
    """kept: a descriptor of the first process, if PID 1 has one."""
    match _open_if_ours(container.record, pid):
        case None:
            await container.conclude(-1 if kept is None else kept)
        case pidfd, place:
            if kept is None:
                notify.keep(kept_name(container.id, lastword.KEPT), pidfd)
            else:
                os.close(kept)
            if place.is_service:
                await machinery.systemd.hold(place.unit)
            container.adopt(place, pid, pidfd)


def _claimed(kept: dict[str, int], identity: str) -> dict[str, int]:
    """What was kept for the container, by stream: reading ends of attached output, a terminal and its clients."""
    prefix = kept_name(identity, "")
    return {name.removeprefix(prefix): kept.pop(name) for name in tuple(kept) if name.startswith(prefix)}


def _open_if_ours(record: Record, pid: int) -> tuple[int, Place] | None:
    """A descriptor of that process, if it lives in a unit of the container's: a pid alone proves nothing."""
    if not pid:
        return None
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    place = found(record, _control_group(pid))
    if place is None:
        os.close(pidfd)
        return None
    return pidfd, place


def _control_group(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
            return next(line[3:].rstrip("\n") for line in file if line.startswith("0::"))
    except (OSError, StopIteration):
        return ""


def _sweep(machinery: Machinery, registry: Registry) -> None:
    """What a crash has left behind: files of containers that no longer exist, fields of units that have ended."""
    known = {container.id for container in registry.all()}
    directory = machinery.settings.containers
    os.makedirs(directory, 0o700, exist_ok=True)
    for name in set(os.listdir(directory)) - known:
        machinery.disposal.add(f"{directory}/{name}")
    vacancy.announce_all(registry.uses_unit)
    machinery.retirement.add(unit for unit in journal.published() if not registry.uses_unit(unit))
