# SPDX-License-Identifier: GPL-3.0-or-later
"""Files on their way into containers and out of them, whether these run or not."""

from __future__ import annotations

import asyncio
import contextlib
import os
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..copying.confinement import FILTER
from ..copying.copier import copy
from ..copying.request import Request
from ..errors import Cancelled, LimitsExceeded, SetupFailed
from . import resources

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .container import Container
    from .machinery import Machinery

OF_ONE = 16
IN_ALL = 64
ROOT_UID = 0


@dataclass(frozen=True, slots=True)
class Arrival:
    """name: of the archive's one top, where `path` is a directory. into: any archive, in a directory."""

    path: str
    name: str = ""
    into: bool = False
    keep_ids: bool = False


class Copies:
    def __init__(self, machinery: Machinery) -> None:
        self._machinery = machinery
        self._running: dict[asyncio.Task[int], tuple[int, str]] = {}  # whose it is, and the container's id

    async def copy_in(self, container: Container, asked: Arrival, archive: int, uid: int) -> int:
        """How many devices were left out. `archive` is borrowed."""
        request = Request(
            inwards=True, path=asked.path, name=asked.name, into=asked.into, keep_ids=asked.keep_ids, stream=archive,
            program=-1, user_namespace=container.spec.security.has_user_namespace,
        )  # fmt: skip
        return await self._copy(container, request, uid)

    async def copy_out(self, container: Container, path: str, output: int, uid: int, *, follow: bool) -> int:
        """How many sockets were left out. `output` is borrowed."""
        request = Request(
            inwards=False, path=path, follow=follow, stream=output,
            program=-1, user_namespace=container.spec.security.has_user_namespace,
        )  # fmt: skip
        return await self._copy(container, request, uid)

    def give_up(self, identity: str) -> None:
        """Those of a container that is to be removed: it waits for nobody who is slow."""
        for task, (_, container) in self._running.items():
            if container == identity:
                task.cancel()

    async def _copy(self, container: Container, request: Request, uid: int) -> int:
        with self._admitted(container, request, uid) as task:
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                if task.cancelled():
                    raise Cancelled(f"container {container.name!r} was removed, or the service is stopping") from None
                raise
            finally:
                task.cancel()
                await asyncio.wait([task])

    @contextlib.contextmanager
    def _admitted(self, container: Container, request: Request, uid: int) -> Iterator[asyncio.Task[int]]:
        mine = sum(by_uid == uid for by_uid, _ in self._running.values())
        if len(self._running) >= IN_ALL or (uid != ROOT_UID and mine >= OF_ONE):
            raise LimitsExceeded(
                f"{mine} copies of yours and {len(self._running)} in all are under way: the most is {OF_ONE} and "
                f"{IN_ALL}; wait for one to end"
            )
        task = asyncio.ensure_future(self._done(container, request))
        self._running[task] = (uid, container.id)
        try:
            yield task
        finally:
            del self._running[task]

    async def _done(self, container: Container, request: Request) -> int:
        with ExitStack() as opened:
            program = await self._machinery.filters.open(FILTER, frozenset())
            assert program is not None
            opened.callback(os.close, program)
            request = replace(request, program=program)
            async with container.reached() as process:
                if process is not None:
                    return await copy(replace(request, process=process))
                made = resources.Resources()
                opened.callback(made.close)
                try:
                    mounts = await resources.at_rest(self._machinery, container.record, made)
                except OSError as error:
                    raise SetupFailed("prepare the copy", error.strerror or error) from error
                there, read_only = made.descriptors, container.spec.read_only
                request = replace(request, root=there["root"], ids=there.get("ids", -1), read_only=read_only)
                return await copy(replace(request, mounts=mounts))
