# SPDX-License-Identifier: GPL-3.0-or-later
"""Into which journal the lines of an owner's containers go: the host's, or a namespace of their own.

A namespace is there for as long as its owner has containers. Where it cannot be had, lines go to the host's journal:
they are not lost, only not apart, and the container's warnings say so.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING

from .. import chronicle
from ..errors import MctlError, SetupFailed
from ..systemd import journal, namespace
from .custody import Custody

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..journal_settings import JournalSettings, Wish
    from ..systemd.journal import Retirement
    from ..systemd.manager import Manager
    from .tasks import Tasks

PATIENCE = 15.0  # seconds in which a journald begins
LINGER = 10.0  # seconds: who removes the last container often makes the next one soon
INSTEAD = "Its output goes to the host's journal: the namespace {} cannot be had: {}"

log = logging.getLogger(__name__)


class Journals:
    """tasks: end with the service."""

    def __init__(
        self,
        settings: JournalSettings,
        systemd: Manager,
        retirement: Retirement,
        tasks: Tasks,
        has_containers: Callable[[int], bool],
    ) -> None:
        self._settings = settings
        self._systemd = systemd
        self._retirement = retirement
        self._tasks = tasks
        self._has_containers = has_containers
        self._locks: dict[int, asyncio.Lock] = {}
        self._up: set[int] = set()
        self._leaving: set[int] = set()
        self._told: dict[int, str] = {}  # why there is none
        self.custody = Custody()
        self._probe = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)  # to connect one tells nobody

    async def restore(self, owners: Iterable[int]) -> None:
        """After a start of the service. owners: of all containers."""
        known = set(owners)
        await asyncio.gather(*(self.prepare(owner) for owner in known))
        for owner in namespace.owners() - known:
            self._begin_to_leave(owner)

    async def prepare(self, owner: int) -> tuple[str, ...]:
        """Returns when the owner's journal takes lines; what a container is to be warned of."""
        wish = self._settings.of(owner)
        if not wish.namespaced:
            return ()
        async with self._lock(owner):
            if owner in self._up and not journal.unreachable(namespace.stream_socket(owner)):
                return ()
            self._up.discard(owner)
            used = owner in namespace.owners()  # by containers that run: it is not to be stopped under them
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._bring_up(owner, wish)
            except (MctlError, OSError, TimeoutError) as error:
                text = INSTEAD.format(namespace.name(owner), str(error) or f"not within {PATIENCE:g} seconds")
                if self._told.get(owner) != text:
                    log.warning("User %d: %s", owner, text)
                self._told[owner] = text
                if not used:
                    self._begin_to_leave(owner)
                return (text,)
            self._up.add(owner)
            self._told.pop(owner, None)
            return ()

    def open(self, owner: int, identifier: str, unit: str, priority: int) -> socket.socket:
        """A stream for lines of a container of the owner's."""
        if owner in self._up:
            try:
                return journal.open_stream(identifier, unit, priority, namespace.stream_socket(owner))
            except (FileNotFoundError, ConnectionRefusedError) as error:  # somebody has stopped it since
                log.warning("Lines of %s go to the host's journal: %s: %s", unit, namespace.name(owner), error.strerror)
        return journal.open_stream(identifier, unit, priority)

    def look_for(self, owner: int) -> Callable[[], None]:
        """Raises OSError where the host's journal is stopped with its sockets. A namespace's comes back by itself."""
        return lambda: None if owner in self._up else self._probe.connect(chronicle.SOCKET)

    def socket_for_entries(self, owner: int) -> str:
        return namespace.entry_socket(owner) if owner in self._up else chronicle.SOCKET

    def read_by(self, owner: int) -> list[str]:
        """Arguments of journalctl(1) with which it finds all lines of the owner's: settings may have changed."""
        reads = self._settings.of(owner).namespaced or namespace.is_kept(owner)
        return [f"--namespace=+{namespace.name(owner)}"] if reads else []

    def left(self, owner: int, unit: str) -> None:
        """A container of the owner's is no more, which ran in that unit."""
        if not self._has_containers(owner) and owner in namespace.owners():
            self._begin_to_leave(owner, unit)

    def _begin_to_leave(self, owner: int, unit: str = "") -> None:
        if owner not in self._leaving:
            self._leaving.add(owner)
            self._tasks.start(self._leave(owner, unit), f"give up the journal {namespace.name(owner)}")

    async def _leave(self, owner: int, unit: str) -> None:
        try:
            await self._retirement.drained(unit)
            await asyncio.sleep(LINGER)
        finally:
            self._leaving.discard(owner)
        async with self._lock(owner):
            if owner not in self._up or not self._has_containers(owner):
                await self._take_down(owner)

    async def _bring_up(self, owner: int, wish: Wish) -> None:
        unit = namespace.unit(owner)
        changed = namespace.write(owner, wish, await self._systemd.version())
        found = await self._systemd.service(unit)
        if found["LoadState"] != "loaded":
            raise SetupFailed(f"start {unit}", f"it is {found['LoadState']} on this host")
        if found["NeedDaemonReload"] or found["Restart"] != namespace.RESTART:
            await self._systemd.reload()
        again = changed and found["ActiveState"] == "active"
        await (self._systemd.restart if again else self._systemd.start)(unit)

    async def _take_down(self, owner: int) -> None:
        """What was printed stays on the disk."""
        self._up.discard(owner)
        for unit in (*namespace.sockets(owner), namespace.unit(owner)):
            await self._systemd.stop_rest(unit)
        await self._systemd.reset_failed(namespace.unit(owner))
        namespace.remove(owner)

    def _lock(self, owner: int) -> asyncio.Lock:
        return self._locks.setdefault(owner, asyncio.Lock())
