# SPDX-License-Identifier: GPL-3.0-or-later
"""The parents of containers' processes: one for those to come, and the ones of other versions until theirs have ended.

mctl-spawner.service is never restarted while somebody is its child. After an upgrade a second one of the new version,
mctl-spawner@VERSION.service, bears what is started from then on. When the first has no children left it is started
anew, of the new version too, and takes over again; then it is the second's turn to wait for its children's ends, and to
end. All that must outlive us is which sockets there are: a spawner itself knows whose parent it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
from typing import TYPE_CHECKING, Any

from .. import VERSION
from ..errors import MctlError, SpawnerUnavailable
from ..runtime.launch import Spawner

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..runtime.launch import Inherited, Stage, Status
    from ..runtime.users import IdMap
    from ..settings import Settings
    from ..systemd.manager import Manager
    from .tasks import Tasks

HOME = "mctl-spawner"
_SOCKET = re.compile(r"spawner@([A-Za-z0-9._-]+)\.sock", re.ASCII)

log = logging.getLogger(__name__)


class Parent:
    """One spawner, and whose parent we know it is."""

    def __init__(self, unit: str, path: str) -> None:
        self.unit = unit  # without its suffix
        self.spawner = Spawner(path, f"{unit}.service")
        self.children: set[str] = set()
        self.asked = 0  # births and the like that are under way
        self.looked_after = False  # somebody is about to look whether it is done

    async def list(self) -> dict[str, int]:
        found = await self.spawner.connect()
        self.children |= set(found)
        return found


class Spawners:
    def __init__(self, settings: Settings, systemd: Manager, tasks: Tasks) -> None:
        self._directory = settings.runtime_directory
        self._systemd = systemd
        self._tasks = tasks
        self._home = self._current = Parent(HOME, settings.spawner_socket)
        self._others: dict[str, Parent] = {}  # by version
        self._changing = asyncio.Lock()

    @property
    def understands(self) -> bool:
        """Whether the one for new children is of our version, or of one that does as well."""
        return self._current.spawner.understands

    async def answer(self) -> None:
        """Raises if nobody is there for new children."""
        await self._current.spawner.connect()

    async def connect(self) -> dict[str, int]:
        """Once: the names and pids of all children that run or have not been forgotten."""
        for version in self._versions():
            self._other(version)
        found: list[tuple[Parent, dict[str, int]]] = []
        for parent in self._parents():
            try:
                found.append((parent, await parent.list()))
            except SpawnerUnavailable as error:
                log.warning("%s; running containers are found by their cgroups", error)
        children: dict[str, int] = {}
        for parent, listed in sorted(found, key=lambda pair: pair[0].spawner.outdated):
            for name in listed.keys() & children.keys():  # an earlier run, which nobody has taken note of
                await parent.spawner.forget(name)
                parent.children.discard(name)
            children = listed | children
        return children

    async def renew(self) -> None:
        """Once, when all that runs has been found: whoever is of another version bears no more children of ours."""
        async with self._changing:
            try:
                if self._home.spawner.outdated:
                    await (self._succeed() if await self._home.list() else self._restart_home())
            except MctlError as error:
                log.error("%s.service, of another version, cannot be relieved: %s", HOME, error)
        for parent in self._parents():
            self._look_whether_done(parent)

    async def spawn(
        self, name: str, namespaces: int, ids: IdMap | None, inherited: Inherited, network: Sequence[int] = ()
    ) -> Stage:
        await self._forget_elsewhere(name)
        with self._asked(name) as spawner:
            return await spawner.spawn(name, namespaces, ids, inherited, network)

    async def bear(
        self, namespaces: int, ids: IdMap | None, inherited: Inherited, cgroup: int, network: Sequence[int] = ()
    ) -> Stage:
        with self._asked() as spawner:
            return await spawner.bear(namespaces, ids, inherited, cgroup, network)

    async def join(self, name: str, container: int, cgroup: int, note: Any, inherited: Inherited) -> Stage:
        with self._asked(name) as spawner:
            return await spawner.join(name, container, cgroup, note, inherited)

    async def user_namespace(self, ids: IdMap) -> int:
        with self._asked() as spawner:
            return await spawner.user_namespace(ids)

    async def status(self, name: str) -> Status:
        return await self._parent_of(name).spawner.status(name)

    async def forget(self, name: str) -> None:
        parent = self._parent_of(name)
        await parent.spawner.forget(name)
        if parent is self._current:
            parent.children.discard(name)  # one that runs all the same is listed again before another takes over
        else:
            self._look_whether_done(parent)

    def close(self) -> None:
        for parent in self._parents():
            parent.spawner.close()

    @contextlib.contextmanager
    def _asked(self, *names: str) -> Iterator[Spawner]:
        """The one for new children, which stays while it is being asked."""
        parent = self._current
        parent.asked += 1
        parent.children.update(names)
        try:
            yield parent.spawner
        finally:
            parent.asked -= 1
            self._look_whether_done(parent)

    async def _forget_elsewhere(self, name: str) -> None:
        """What is left of an earlier run must not be taken for the new one's."""
        parent = self._parent_of(name)
        if parent is not self._current:
            with contextlib.suppress(SpawnerUnavailable):
                await parent.spawner.forget(name)
            parent.children.discard(name)

    def _parent_of(self, name: str) -> Parent:
        return next((parent for parent in self._parents() if name in parent.children), self._current)

    def _parents(self) -> tuple[Parent, ...]:
        """The one for new children first."""
        return tuple(dict.fromkeys((self._current, self._home, *self._others.values())))

    def _versions(self) -> list[str]:
        try:
            return [match[1] for match in map(_SOCKET.fullmatch, os.listdir(self._directory)) if match]
        except FileNotFoundError:
            return []

    def _other(self, version: str) -> Parent:
        made = Parent(f"{HOME}@{version}", f"{self._directory}/spawner@{version}.sock")
        return self._others.setdefault(version, made)

    async def _succeed(self) -> None:
        """The first has children: a second one has the next."""
        successor = self._other(VERSION)
        await self._systemd.start(f"{successor.unit}.socket")
        await successor.list()
        await self._hand_over(successor)
        log.info("%s.service bears what is started from now on: %s.service is of another version and the parent of %d "
                 "processes", successor.unit, HOME, len(self._home.children))  # fmt: skip

    async def _restart_home(self) -> None:
        """Nobody is its child: a new one takes its place, and over."""
        self._home.spawner.close()
        self._home.children.clear()
        await self._systemd.restart(f"{HOME}.service")
        await self._home.list()
        await self._hand_over(self._home)

    async def _hand_over(self, successor: Parent) -> None:
        before, self._current = self._current, successor
        if before is not successor:
            await before.list()

    def _look_whether_done(self, parent: Parent) -> None:
        if parent is not self._current and not parent.asked and not parent.looked_after:
            parent.looked_after = True
            self._tasks.start(self._end_if_done(parent), f"end {parent.unit}.service")

    async def _end_if_done(self, parent: Parent) -> None:
        async with self._changing:
            parent.looked_after = False
            if parent is self._current or parent.asked or parent not in self._parents():
                return
            try:
                if not await parent.list():
                    await (self._restart_home() if parent is self._home else self._end(parent))
            except MctlError as error:
                log.error("%s.service, of another version, is not ended: %s", parent.unit, error)
        if parent is self._current:  # it has just taken over
            for other in self._parents():
                self._look_whether_done(other)

    async def _end(self, parent: Parent) -> None:
        parent.spawner.close()
        await self._systemd.stop(f"{parent.unit}.socket")  # first, so that nobody starts it again
        await self._systemd.stop(f"{parent.unit}.service")
        self._others = {version: other for version, other in self._others.items() if other is not parent}
