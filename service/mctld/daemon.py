# SPDX-License-Identifier: GPL-3.0-or-later
"""The composition root: builds every object once, says when it is ready, stops in order. No logic."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from typing import TYPE_CHECKING

from . import VERSION
from .bus.connection import BusGone, Connection
from .bus.contract import NAME
from .bus.door import open_door
from .chronicle import CHRONICLE
from .errors import MctlError
from .ids import Ids
from .images.layers import Layers
from .lifecycle import supervise, witnesses
from .lifecycle.check import promises
from .lifecycle.check.checkup import Checkup
from .lifecycle.disposal import Disposal
from .lifecycle.events import Events
from .lifecycle.followers import Followers
from .lifecycle.hostnames import HostNames
from .lifecycle.images import Images
from .lifecycle.journals import Journals
from .lifecycle.logs import LogReaders
from .lifecycle.machinery import Machinery
from .lifecycle.naming import Naming
from .lifecycle.networks import Networks
from .lifecycle.readers import Readers
from .lifecycle.recovery import recover
from .lifecycle.registry import Registry
from .lifecycle.restarts import Restarts
from .lifecycle.sharing import Sharing
from .lifecycle.spawners import Spawners
from .lifecycle.tasks import Tasks
from .lifecycle.volumes import Volumes
from .runtime import capabilities, cgroup, users
from .runtime.rootfs import Staging
from .runtime.seccomp.filters import Filters
from .store import Store
from .systemd import notify
from .systemd.journal import Retirement
from .systemd.machined import Machined
from .systemd.manager import Manager
from .systemd.resolved import Resolved

if TYPE_CHECKING:
    from .bus.door import Door
    from .reporting import Reporting
    from .settings import Settings

COLLECT_AFTER = 20_000  # objects more than before, a few MiB
STOP_TIMEOUT = 5.0  # seconds for what goes on behind callers' backs


async def serve(settings: Settings, reporting: Reporting) -> None:
    """Until SIGTERM, or until the bus goes away: then BusGone, and systemd starts us anew. No container notices."""
    connection = await _connect()
    systemd, store, tasks, relays, events = Manager(connection), _store(settings), Tasks(), Tasks(), Events()
    networks, quotas = _networks(settings, store, tasks, events, connection), settings.quotas
    filters, disposal, layers = Filters(settings.filters), Disposal(), Layers(settings.images, store.settle)
    spawner, retirement = Spawners(settings, systemd, tasks), Retirement(lambda unit: registry.uses_unit(unit))
    journals = Journals(settings.journal, systemd, retirement, relays, lambda uid: registry.has_any_of(uid))
    machinery = Machinery(
        settings=settings,
        store=store,
        spawner=spawner,
        staging=Staging(settings.staging),
        filters=filters,
        systemd=systemd,
        machined=Machined(connection),
        retirement=retirement,
        journals=journals,
        logs=LogReaders(Followers(retirement, systemd, relays), journals),
        disposal=disposal,
        networks=networks,
        images=Images(store, layers, spawner, filters, Disposal(), lambda i: registry.made_from(i.id), quotas),
        volumes=Volumes(settings.volumes, disposal, lambda volume: registry.made_with(volume), quotas.volumes),
        events=events,
        tasks=tasks,
        relays=relays,
        readers=Readers(systemd, relays),
        restarts=Restarts(tasks),
        sharing=Sharing(lambda: registry.all(), networks, tasks),
        last_capability=capabilities.last(),
        controllers=cgroup.available(),
    )
    registry, checkup = Registry(machinery), Checkup(machinery, connection)
    await machinery.systemd.open(registry.stop_requested, registry.job_made, machinery.logs.followers.job_over)
    await asyncio.to_thread(machinery.images.recover)
    await recover(machinery, registry)
    door = await open_door(connection, registry, checkup, settings.contract_directory, reporting, settings.quotas)
    _ready(registry)
    await _end(connection)
    await _stop(door, registry, machinery, connection)


async def _connect() -> Connection:
    """Raises BusGone where a service is at work: a second one would clear away what the first is about to make."""
    connection = await Connection.open()
    await connection.expect_free(NAME)
    return connection


def _ready(registry: Registry) -> None:
    _spare_the_collector()
    notify.ready()
    CHRONICLE.attach()
    supervise.note_ready(VERSION, *registry.count())
    promises.note_lacking()


def _spare_the_collector() -> None:
    """What is there now stays as long as the service.

    By default 700 new objects are a reason to look for cycles, and a start makes several times as many, hardly one of
    them in a cycle: it would spend a tenth of its time so.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 10, 10)


async def _stop(door: Door, registry: Registry, machinery: Machinery, connection: Connection) -> None:
    notify.stopping()
    await door.close()
    registry.rest()
    with contextlib.suppress(TimeoutError, MctlError):  # without the bus: then it is a failure, and we come back
        await asyncio.wait_for(registry.stop_hearing(), STOP_TIMEOUT)
    await machinery.relays.finish(0)
    await machinery.tasks.finish(STOP_TIMEOUT)
    machinery.readers.close()
    machinery.watch.close()
    machinery.spawner.close()
    machinery.staging.close()
    machinery.filters.close()
    machinery.networks.close()
    machinery.store.close()
    CHRONICLE.detach()
    if connection.closed.done():
        raise BusGone(f"the bus is gone: {connection.closed.result()}")


async def take_down_networks(settings: Settings) -> None:
    """Before the package is removed: the host is then as it was before the first container."""
    store = _store(settings)
    tasks = Tasks()
    await _networks(settings, store, tasks, Events()).take_down()
    store.close()


def _networks(
    settings: Settings, store: Store, tasks: Tasks, events: Events, connection: Connection | None = None
) -> Networks:
    host_names = HostNames(Resolved(connection), tasks, wanted=settings.network.host_names) if connection else None
    naming, most = Naming(settings.names_socket, tasks, host_names), settings.quotas.ports
    default = settings.network.default_subnet
    return Networks(store, settings.network_record, naming, tasks, events, most, default)


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
