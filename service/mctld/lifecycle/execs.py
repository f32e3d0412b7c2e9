# SPDX-License-Identifier: GPL-3.0-or-later
"""All commands executed in containers that run, and those that have ended a moment ago."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from typing import TYPE_CHECKING

from ..errors import LimitReached, LimitsExceeded, MctlError, SpawnerUnavailable
from .entry import enter
from .exec import About, Exec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..execution import Execution
    from .container import Container
    from .machinery import Machinery

log = logging.getLogger(__name__)

PER_CONTAINER = 64
IN_ALL = 1_024
LINGER = 30.0  # seconds after its end in which a late question finds the answer
LINGERING_MAX = 1_024
ROOT_UID = 0


class Execs:
    def __init__(self, machinery: Machinery) -> None:
        self._machinery = machinery
        self._all: dict[str, Exec] = {}
        self._lingering: dict[str, asyncio.TimerHandle] = {}  # in the order of their ends

    def get(self, identity: str) -> Exec | None:
        found = self._all.get(identity)
        return found if found and found.state != "starting" else None

    def all(self) -> Iterable[Exec]:
        return tuple(e for e in self._all.values() if e.state != "starting")

    async def start(
        self, container: Container, execution: Execution, by_uid: int, *, stdin: int | None, attach: bool
    ) -> tuple[Exec, tuple[int, ...]]:
        """Returns when the command executes: with the reading ends of its output if attached. `stdin` is borrowed."""
        self._check_room(container, by_uid)
        spec = execution.inside(container.spec)
        about = About(
            id=_new_id(), container=container.name, container_id=container.id,
            owner_uid=container.owner_uid, by_uid=by_uid, command=spec.command, user=str(spec.user),
        )  # fmt: skip
        made = self._all[about.id] = Exec(about, self._machinery, self._ended)
        try:
            entered = await enter(self._machinery, container, execution, made, stdin=stdin, attach=attach)
        except BaseException:
            del self._all[about.id]
            raise
        made.watch(entered.pid, entered.pidfd)
        self._machinery.events.exec_added(made)
        return made, entered.streams

    async def recover(self, names: Iterable[str]) -> None:
        """What an earlier instance of the service has started, as the spawner knows it."""
        for name in names:
            try:
                await self._find_again(name)
            except (MctlError, TypeError, KeyError) as error:  # a note of another version
                log.warning("%s is not found again: %s", name, error)

    async def _find_again(self, name: str) -> None:
        spawner = self._machinery.spawner
        status = await spawner.status(name)
        made = Exec(About.remembered(status.note), self._machinery, self._ended)
        self._all[made.id] = made
        if status.code is None and status.pid is not None:
            try:
                pidfd = os.pidfd_open(status.pid)
            except ProcessLookupError:
                pidfd = -1
            status = await spawner.status(name)  # if it has not ended now, the pid was nobody else's then
            if status.code is None and status.pid is not None and pidfd >= 0:
                made.watch(status.pid, pidfd)
                return
            if pidfd >= 0:
                os.close(pidfd)
        made.has_ended(status)

    def _check_room(self, container: Container, by_uid: int) -> None:
        active = [e for e in self._all.values() if e.end is None]
        here = sum(e.about.container_id == container.id for e in active)
        if here >= PER_CONTAINER:
            raise LimitsExceeded(f"{here} commands are executed in container {container.name!r}: wait for one to end")
        asked = sum(e.about.by_uid == by_uid for e in active)
        most = self._machinery.settings.quotas.execs
        if by_uid != ROOT_UID and most is not None and asked >= most:
            raise LimitReached(
                f"user {by_uid} has {asked} commands executed in containers, and may have {most}"
                " (ExecsPerUser= in mctld.conf(5)): end one first"
            )
        if len(active) >= IN_ALL:
            raise LimitsExceeded(f"{len(active)} commands are executed in containers: wait for one to end")

    def _ended(self, found: Exec) -> None:
        self._machinery.events.exec_ended(found)
        loop = asyncio.get_running_loop()
        self._lingering[found.id] = loop.call_later(LINGER, self._drop, found.id)
        while len(self._lingering) > LINGERING_MAX:
            self._drop(next(iter(self._lingering)))

    def _drop(self, identity: str) -> None:
        self._lingering.pop(identity).cancel()
        found = self._all.pop(identity)
        self._machinery.events.exec_removed(found)
        self._machinery.tasks.start(self._forget(found), f"forget {found.name}")

    async def _forget(self, found: Exec) -> None:
        try:
            await self._machinery.spawner.forget(found.name)
        except SpawnerUnavailable:  # it is gone, and what it knew with it
            return


def _new_id() -> str:
    """Hexadecimal digits, the first one a letter: so the id stands in an object path as it is."""
    return secrets.choice("abcdef") + secrets.token_hex(8)[1:]
