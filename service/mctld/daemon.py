# SPDX-License-Identifier: GPL-3.0-or-later
"""The composition root: builds every object once, says when it is ready, stops in order. No logic."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from . import VERSION
from .bus.connection import BusGone, Connection
from .bus.door import open_door
from .ids import Ids
from .images.layers import Layers
from .lifecycle import supervise, witnesses
from .lifecycle.check import promises
from .lifecycle.check.checkup import Checkup
from .lifecycle.disposal import Disposal
from .lifecycle.events import Events
from .lifecycle.images import Images
from .lifecycle.logs import LogReaders
from .lifecycle.machinery import Machinery
from .lifecycle.networks import Networks
from .lifecycle.recovery import recover
from .lifecycle.registry import Registry
from .lifecycle.restarts import Restarts
from .lifecycle.tasks import Tasks
from .lifecycle.volumes import Volumes
from .lifecycle.watch import Watch
from .runtime import capabilities, cgroup, users
from .runtime.launch import Spawner
from .runtime.rootfs import Staging
from .runtime.seccomp.filters import Filters
from .store import Store
from .systemd import notify
from .systemd.journal import Retirement
from .systemd.manager import Manager

if TYPE_CHECKING:
    from .bus.door import Door
    from .settings import Settings

STOP_TIMEOUT = 5.0  # seconds for what goes on behind callers' backs


async def serve(settings: Settings) -> None:
    """Until SIGTERM, or until the bus goes away: then BusGone, and systemd starts us anew. No container notices."""
    connection = await Connection.open()
    store, tasks, events = _store(settings), Tasks(), Events()
    spawner, filters, disposal = Spawner(settings.spawner_socket), Filters(settings.filters), Disposal()
    images = Images(store, Layers(settings.images), spawner, filters, disposal, lambda i: registry.made_from(i.id))
    machinery = Machinery(
        settings=settings,
        store=store,
        spawner=spawner,
        staging=Staging(settings.staging),
        filters=filters,
        systemd=Manager(connection),
        retirement=Retirement(lambda unit: registry.uses_unit(unit)),
        logs=LogReaders(),
        disposal=disposal,
        networks=Networks(store, settings.network_record, tasks, events),
        watch=Watch(),
        images=images,
        volumes=Volumes(settings.volumes, disposal, lambda volume: registry.made_with(volume)),
        events=events,
        tasks=tasks,
        relays=Tasks(),
        restarts=Restarts(tasks),
        last_capability=capabilities.last(),
        controllers=cgroup.available(),
    )
    registry = Registry(machinery)
    await machinery.systemd.open(registry.stop_requested, registry.job_made)
    await asyncio.to_thread(images.recover)
    await recover(machinery, registry)
    door = await open_door(connection, registry, Checkup(machinery, connection), settings.contract_directory)
    notify.ready()
    supervise.note_ready(VERSION, *registry.count())
    promises.note_lacking()
    await _end(connection)
    await _stop(door, registry, machinery)
    if connection.closed.done():
        raise BusGone(f"the bus is gone: {connection.closed.result()}")


async def _stop(door: Door, registry: Registry, machinery: Machinery) -> None:
    notify.stopping()
    await door.close()
    registry.rest()
    await machinery.relays.finish(0)
    await machinery.tasks.finish(STOP_TIMEOUT)
    machinery.watch.close()
    machinery.spawner.close()
    machinery.staging.close()
    machinery.filters.close()
    machinery.networks.close()
    machinery.store.close()


async def take_down_networks(settings: Settings) -> None:
    """Before the package is removed: the host is then as it was before the first container."""
    store = _store(settings)
    await Networks(store, settings.network_record, Tasks(), Events()).take_down()
    store.close()


def _store(settings: Settings) -> Store:
    ids = Ids(users.FIRST, users.RANGE, users.RANGES, users.subordinate)
    return Store(settings.database, ids, witnesses.running, settings.last_resort)


async def _end(connection: Connection) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    connection.closed.add_done_callback(lambda _: stop.set())
    await stop.wait()
