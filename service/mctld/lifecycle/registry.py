# SPDX-License-Identifier: GPL-3.0-or-later
"""All containers, by name and by id."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections import OrderedDict
from dataclasses import replace
from secrets import token_hex
from typing import TYPE_CHECKING

from ..bounds import shown
from ..errors import InvalidArgs, LimitReached, MctlError, NameTaken
from ..image import ImageRoot
from ..runtime import cgroup, meter
from ..store import Run
from . import activation, comeback, traffic, vault
from .container import Container
from .copies import Copies
from .diskuse import DiskUse
from .events import Exit
from .execs import Execs
from .resources import check_filter
from .transfers import Transfers
from .volumes import DATA

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from ..credential import Credentials
    from ..spec import Spec
    from ..store import Record
    from ..usage import Usage
    from ..volume import Volume
    from .events import Events
    from .images import Images
    from .logs import EventQuery
    from .machinery import Machinery
    from .networks import Networks
    from .start import Window
    from .volumes import Volumes

UPPER = "upper"  # of a container's directory: what it has changed
DEPARTED_MAX = 1_024
PREFIX_MIN = 4
ROOT_UID = 0
UNIT = "mctld.service"


class Registry:
    def __init__(self, machinery: Machinery) -> None:
        self._machinery = machinery
        self.execs = Execs(machinery)
        self.transfers = Transfers(machinery)
        self.copies = Copies(machinery)
        self._disk_use = DiskUse()
        self._by_name: dict[str, Container] = {}
        self._departed: OrderedDict[str, tuple[str, int, Exit]] = OrderedDict()

    @property
    def networks(self) -> Networks:
        return self._machinery.networks

    @property
    def events(self) -> Events:
        return self._machinery.events

    @property
    def volumes(self) -> Volumes:
        return self._machinery.volumes

    @property
    def images(self) -> Images:
        return self._machinery.images

    def get(self, name: str) -> Container | None:
        return self._by_name.get(name)

    def all(self) -> Iterable[Container]:
        return tuple(self._by_name.values())

    async def usage(self, containers: Sequence[Container]) -> list[Usage | None]:
        """In a thread: the kernel sums up over processors while it is read."""
        networks = self.networks
        asked = [
            (c.control_group, networks.links(c.record), meter.Inside(c.main_pid, networks.interfaces(c.record)))
            for c in containers
        ]
        read = await asyncio.to_thread(lambda: [meter.read(*each) for each in asked])
        for number, container in enumerate(containers):
            if traffic.is_counted(container.spec):
                read[number] = await traffic.completed(self._machinery.systemd, container.place.unit, read[number])
        return read

    async def disk_use(self, containers: Sequence[Container], volumes: Sequence[Volume], *, uid: int) -> list[int]:
        settings = self._machinery.settings
        paths = [f"{settings.containers}/{container.id}/{UPPER}" for container in containers]
        return await self._disk_use.of(paths + [f"{settings.volumes}/{v.id}/{DATA}" for v in volumes], uid)

    def count(self) -> tuple[int, int]:
        """How many there are, and how many of them run."""
        return len(self._by_name), sum(c.state.is_active for c in self._by_name.values())

    def find(self, name_or_id: str) -> Container | None:
        """By name, else by id or an unambiguous beginning of one."""
        if name_or_id in self._by_name:
            return self._by_name[name_or_id]
        if len(name_or_id) < PREFIX_MIN:
            return None
        found = [c for c in self._by_name.values() if c.id.startswith(name_or_id)]
        if len(found) > 1:
            raise InvalidArgs(f"id {shown(name_or_id)} is ambiguous: {len(found)} containers begin with it")
        return found[0] if found else None

    def departed(self, name_or_id: str) -> tuple[int, Exit] | None:
        """Owner and end of one that has been removed lately; the latest of a name."""
        for identity, (name, owner, end) in reversed(self._departed.items()):
            if name_or_id in (name, identity):
                return owner, end
        return None

    def generate_name(self, rootfs_path: str) -> str:
        """What it is made from, and something that tells it from others: busybox-3f2a91."""
        base = re.sub(r"[^a-z0-9]+", "-", os.path.basename(rootfs_path).lower()).strip("-")[:32].rstrip("-")
        while True:
            name = f"{base or 'container'}-{token_hex(3)}"
            if name not in self._by_name:
                return name

    async def create(self, spec: Spec, owner_uid: int, secrets: Credentials) -> Container:
        async with self._created(spec, owner_uid, secrets) as container:
            return container

    @contextlib.asynccontextmanager
    async def _created(self, spec: Spec, owner_uid: int, secrets: Credentials) -> AsyncIterator[Container]:
        """Everybody sees it, but only who has made it does anything with it as yet."""
        self._machinery.settings.quotas.check_stop_timeout(spec.timeout_stop_usec, owner_uid)
        self._check_room(spec.name, owner_uid)
        cgroup.check(spec.limits, self._machinery.controllers)
        await check_filter(self._machinery, spec)
        if spec.machine:
            await self._machinery.machined.check()
        spec = await self._machinery.networks.settle(spec)
        volumes: list[Volume] = []
        identity = token_hex(16)
        directory = f"{self._machinery.settings.containers}/{identity}"
        try:
            if secrets.contents:
                await asyncio.to_thread(vault.keep, directory, secrets.contents)
            self._check_room(spec.name, owner_uid)  # again: others were served meanwhile
            spec, volumes = self.volumes.settle(spec, owner_uid)
            record = self._machinery.store.add(
                identity=identity, owner_uid=owner_uid, created_usec=time.time_ns() // 1_000, spec=spec,
                networks=self._machinery.networks.chosen(spec, owner_uid),
            )  # fmt: skip
        except BaseException:
            self._machinery.disposal.add(directory)
            self.volumes.discard(volumes)
            raise
        container = Container(record, Run(), self._machinery, self._remove)
        async with container.to_oneself():
            self._enlist(container)
            try:
                await self._machinery.journals.prepare(owner_uid)  # not before: it goes with the last container
                await activation.listen(self._machinery, record)
            except BaseException:
                await container.remove(force=True)
                self.volumes.discard(volumes)
                raise
            yield container

    async def run(
        self, spec: Spec, owner_uid: int, secrets: Credentials, *, stdin: int | None, attach: bool, window: Window
    ) -> tuple[Container, tuple[int, ...]]:
        """Create and start; if the start fails nothing is left."""
        async with self._created(spec, owner_uid, secrets) as container:
            try:
                return container, await container.start(stdin=stdin, attach=attach, window=window)
            except BaseException:
                await container.remove(force=True)
                self.volumes.discard_nameless(container.spec)
                raise

    async def rename(self, container: Container, name: str) -> None:
        """To whoever watches, one has gone and another has come; its id, its files and its addresses stay."""
        async with container.nameless():
            self._refuse_if_named(name)
            record = self._machinery.store.amend(container.record, replace(container.spec, name=name))
            self.events.removed(container)
            del self._by_name[container.name]
            container.record = record
            self._enlist(container)

    def open_events(self, query: EventQuery, *, reader_uid: int) -> int:
        return self._machinery.logs.open_events(query, reader_uid=reader_uid)

    def made_from(self, image: str) -> list[tuple[str, int]]:
        """Names and owners of the containers that were made from the image of this id."""
        roots = ((c.name, c.owner_uid, c.spec.rootfs) for c in self._by_name.values())
        return [(name, owner) for name, owner, root in roots if isinstance(root, ImageRoot) and root.image == image]

    def made_with(self, volume: str) -> list[str]:
        """Names of the containers that have the volume of this id; those of its owner of which nobody knows what they
        have are among them: nothing that may be theirs is removed.
        """
        found = self.volumes.get(volume)
        unknown = [c for c in self._by_name.values() if c.record.fault and found and c.owner_uid == found.owner_uid]
        known = [c for c in self._by_name.values() if any(m.volume == volume for m in c.spec.volumes)]
        return [c.name for c in (*known, *unknown)]

    def has_any_of(self, owner_uid: int) -> bool:
        return any(c.owner_uid == owner_uid for c in self._by_name.values())

    def restore(self, record: Record, run: Run) -> Container:
        """One that the store remembers."""
        return self._enlist(Container(record, run, self._machinery, self._remove))

    def uses_unit(self, unit: str) -> bool:
        return any(c.unit == unit and c.state.is_active for c in self._by_name.values())

    def revive(self) -> None:
        """What ended while the service or the host was down comes back as its owner wished, and what waited goes on."""
        for container in self.all():
            container.revive()
            self._machinery.sharing.look_after(container)
        self._machinery.restarts.open()

    async def stop_hearing(self) -> None:
        """Before the service ends, unless it is restarted: what containers say of themselves nobody hears then."""
        heard = [c for c in self.all() if c.place.is_service and c.state.is_active]
        if heard and not await self._machinery.systemd.is_coming_back(UNIT):
            await asyncio.gather(*(container.stop_hearing() for container in heard))

    def rest(self) -> None:
        """Nothing is started or checked any more: the service ends."""
        self._machinery.restarts.close()
        for container in self.all():
            container.check_no_more()

    def stop_requested(self, unit: str) -> None:
        """PID 1 wants a scope to end, and leaves the how to us: systemctl stop, or a shutdown."""
        for container in self._by_name.values():
            if container.unit == unit and container.state.can_be_signalled:
                self._machinery.tasks.start(self._stop(container), f"stop {container.name}")

    async def _stop(self, container: Container) -> None:
        await container.stop(why=await self._whose_wish())

    def job_made(self, unit: str, job: str) -> None:
        """PID 1 forgets whom to ask when the service is started anew, and then stops a scope by itself."""
        for container in self._by_name.values():
            if container.unit == unit and container.state.can_be_signalled and not container.place.is_service:
                self._machinery.tasks.start(self._heed(container, job), f"look at a job of {unit}")

    async def _heed(self, container: Container, job: str) -> None:
        kind = await self._machinery.systemd.type_of(job)
        if kind == "stop" or (not kind and await self._is_over(container)):
            container.is_being_stopped(await self._whose_wish())

    async def _is_over(self, container: Container) -> bool:
        """With a job that is over already; its end may not have reached us yet."""
        return not container.state.can_be_signalled or await self._machinery.systemd.is_over(container.unit)

    async def _whose_wish(self) -> str:
        """A shutdown is nobody's for this one: it may be back after the next boot."""
        try:
            stopping = await self._machinery.systemd.is_stopping()
        except MctlError:  # there is nobody left to ask
            stopping = True
        return comeback.HOST if stopping else comeback.ASKED

    def _refuse_if_named(self, name: str) -> None:
        if name in self._by_name:
            raise NameTaken(f"name {name!r} is taken: choose another, or remove that container")

    def _check_room(self, name: str, owner_uid: int) -> None:
        self._refuse_if_named(name)
        owned = sum(c.owner_uid == owner_uid for c in self._by_name.values())
        most = self._machinery.settings.quotas.containers
        if owner_uid != ROOT_UID and most is not None and owned >= most:
            raise LimitReached(
                f"user {owner_uid} has {owned} containers, and may have {most} (ContainersPerOwner= in mctld.conf(5)):"
                " remove one first"
            )

    def _enlist(self, container: Container) -> Container:
        self._by_name[container.name] = container
        self.events.added(container)
        return container

    def _remove(self, container: Container, end: Exit | None, told: int) -> None:
        """told: to the store. Its files go after that is settled: it must not be back without them."""
        del self._by_name[container.name]
        self._departed[container.id] = (container.name, container.owner_uid, end or Exit("never-started"))
        if len(self._departed) > DEPARTED_MAX:
            self._departed.popitem(last=False)
        self.events.removed(container)
        self._machinery.journals.left(container.owner_uid, container.unit)
        self._machinery.disposal.add(
            f"{self._machinery.settings.containers}/{container.id}", lambda _: self._machinery.store.wait(told)
        )
        if container.spec.auto_remove:
            self.volumes.discard_nameless(container.spec)
        if isinstance(container.spec.rootfs, ImageRoot):
            self._machinery.images.collect()
