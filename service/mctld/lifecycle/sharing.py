# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers that have the network of another one, and end with it: nothing would ever reach them any more."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from ..errors import NotRunning
from ..runtime import namespace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..store import Record
    from .container import Container
    from .networks import Networks
    from .running import Running
    from .tasks import Tasks


class Sharing:
    def __init__(self, containers: Callable[[], Iterable[Container]], networks: Networks, tasks: Tasks) -> None:
        self._containers = containers
        self._networks = networks
        self._tasks = tasks

    @contextlib.contextmanager
    def opened(self, record: Record) -> Iterator[tuple[int, ...]]:
        """A pidfd of who is in the network that the container is to share; none, if it shares none."""
        if not record.spec.networking.container:
            yield ()
            return
        process = self._host(record).open_network()
        try:
            yield (process,)
        finally:
            os.close(process)

    def whose_network(self, record: Record) -> Record:
        """Of the container that is connected for it: mostly itself."""
        return self._host(record).record if record.spec.networking.container else record

    def look_after(self, guest: Running) -> None:
        """What runs, but whose network has ended meanwhile, is stopped."""
        shared = guest.spec.networking.container
        if not shared or not guest.state.can_be_signalled:
            return
        host = self._find(shared)
        if host is None or not _are_together(guest, host):
            self._end(guest, host.name if host else shared)

    async def ended(self, host: Record) -> None:
        """With its first process a container leaves the network, which is connected to nothing when this returns."""
        guests = [c for c in self._containers() if c.spec.networking.container == host.id and c.state.is_active]
        if not guests:
            return
        for guest in guests:
            if guest.state.can_be_signalled:  # one that is just being started looks for itself
                self._end(guest, host.spec.name)
        with guests[0].lent() as process:
            await self._networks.cut(host, process)

    def _end(self, guest: Running, host: str) -> None:
        self._tasks.start(guest.lose_network(host), f"stop {guest.name}, whose network has ended")

    def _host(self, record: Record) -> Container:
        """Raises NotRunning."""
        name, shared = record.spec.name, record.spec.networking.container
        host = self._find(shared)
        if host is None:
            raise NotRunning(
                f"container {name!r} has the network of container {shared[:12]}, which has been removed: make it anew"
            )
        if not host.state.can_be_signalled:
            raise NotRunning(
                f"container {name!r} has the network of container {host.name!r}, "
                f"which is not running ({host.state.value}): start that one first"
            )
        return host

    def _find(self, identity: str) -> Container | None:
        return next((container for container in self._containers() if container.id == identity), None)


def _are_together(guest: Running, host: Running) -> bool:
    """Whether they are in one network namespace; not, if either is gone."""
    with guest.lent() as one, host.lent() as other:
        if one is None or other is None:
            return False
        try:
            return namespace.identity(one, "net") == namespace.identity(other, "net")
        except (FileNotFoundError, ProcessLookupError):
            return False
