# SPDX-License-Identifier: GPL-3.0-or-later
"""All containers, by name and by id."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from ..bounds import shown
from ..errors import InvalidArgs, LimitsExceeded, MctlError, NameTaken
from ..image import ImageRoot
from ..runtime import cgroup, meter
from ..store import Run
from . import comeback
from .container import Container, usec
from .events import Exit
from .execs import Execs
from .resources import check_filter
from .transfers import Transfers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..spec import Spec
    from ..store import Record
    from ..usage import Usage
    from .events import Events
    from .images import Images
    from .logs import EventQuery
    from .machinery import Machinery
    from .networks import Networks
    from .start import Window
    from .volumes import Volumes

DEPARTED_MAX = 1_024
PREFIX_MIN = 4
CONTAINERS_PER_OWNER = 1_024
ROOT_UID = 0


class Registry:
    def __init__(self, machinery: Machinery) -> None:
        self._machinery = machinery
        self.execs = Execs(machinery)
        self.transfers = Transfers(machinery)
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
        asked = [(c.control_group, self.networks.links(c.record)) for c in containers]
        return await asyncio.to_thread(lambda: [meter.read(group, links) for group, links in asked])

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
            name = f"{base or 'container'}-{secrets.token_hex(3)}"
            if name not in self._by_name:
                return name

    async def create(self, spec: Spec, owner_uid: int) -> Container:
        self._check_room(spec.name, owner_uid)
        cgroup.check(spec.limits, self._machinery.controllers)
        await check_filter(self._machinery, spec)
        spec = await self._machinery.networks.settle(spec)
        self._check_room(spec.name, owner_uid)  # again: others were served meanwhile
        spec, volumes = self.volumes.settle(spec, owner_uid)
        try:
            record = self._machinery.store.add(
                identity=secrets.token_hex(16), owner_uid=owner_uid, created_usec=usec(time.time_ns()), spec=spec,
                networks=self._machinery.networks.find(spec.networking.networks, owner_uid),
            )  # fmt: skip
        except BaseException:
            self.volumes.discard(volumes)
            raise
        return self._enlist(Container(record, Run(), self._machinery, self._remove))

    async def run(
        self, spec: Spec, owner_uid: int, *, stdin: int | None, attach: bool, window: Window
    ) -> tuple[Container, tuple[int, ...]]:
        """Create and start; if the start fails nothing is left."""
        container = await self.create(spec, owner_uid)
        try:
            return container, await container.start(stdin=stdin, attach=attach, window=window)
        except BaseException:
            await container.remove(force=True)
            self.volumes.discard_nameless(container.spec)
            raise

    def open_events(self, query: EventQuery, *, reader_uid: int) -> int:
        return self._machinery.logs.open_events(query, reader_uid=reader_uid)

    def made_from(self, image: str) -> list[str]:
        """Names of the containers that were made from the image of this id."""
        roots = ((c.name, c.spec.rootfs) for c in self._by_name.values())
        return [name for name, root in roots if isinstance(root, ImageRoot) and root.image == image]

    def made_with(self, volume: str) -> list[str]:
        """Names of the containers that have the volume of this id; those of its owner of which nobody knows what they
        have are among them: nothing that may be theirs is removed.
        """
        found = self.volumes.get(volume)
        unknown = [c for c in self._by_name.values() if c.record.fault and found and c.owner_uid == found.owner_uid]
        known = [c for c in self._by_name.values() if any(m.volume == volume for m in c.spec.volumes)]
        return [c.name for c in (*known, *unknown)]

    def restore(self, record: Record, run: Run) -> Container:
        """One that the store remembers."""
        return self._enlist(Container(record, run, self._machinery, self._remove))

    def uses_unit(self, unit: str) -> bool:
        return any(c.unit == unit and c.state.is_active for c in self._by_name.values())

    def revive(self) -> None:
        """What ended while the service or the host was down comes back as its owner wished, and what waited goes on."""
        for container in self.all():
            container.revive()
        self._machinery.restarts.open()

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
        if kind == "stop" or (not kind and not container.state.can_be_signalled):  # over, and the container too
            container.is_being_stopped(await self._whose_wish())

    async def _whose_wish(self) -> str:
        """A shutdown is nobody's for this one: it may be back after the next boot."""
        try:
            stopping = await self._machinery.systemd.is_stopping()
        except MctlError:  # there is nobody left to ask
            stopping = True
        return comeback.HOST if stopping else comeback.ASKED

    def _check_room(self, name: str, owner_uid: int) -> None:
        if name in self._by_name:
            raise NameTaken(f"name {name!r} is taken: choose another, or remove that container")
        owned = sum(c.owner_uid == owner_uid for c in self._by_name.values())
        if owner_uid != ROOT_UID and owned >= CONTAINERS_PER_OWNER:
            raise LimitsExceeded(f"user {owner_uid} has {owned} containers already, the most is {CONTAINERS_PER_OWNER}")

    def _enlist(self, container: Container) -> Container:
        self._by_name[container.name] = container
        self.events.added(container)
        return container

    def _remove(self, container: Container, end: Exit | None) -> None:
        del self._by_name[container.name]
        self._departed[container.id] = (container.name, container.owner_uid, end or Exit("never-started"))
        if len(self._departed) > DEPARTED_MAX:
            self._departed.popitem(last=False)
        self.events.removed(container)
        self._machinery.disposal.add(f"{self._machinery.settings.containers}/{container.id}")
        if container.spec.auto_remove:
            self.volumes.discard_nameless(container.spec)
        if isinstance(container.spec.rootfs, ImageRoot):
            self._machinery.images.collect()
