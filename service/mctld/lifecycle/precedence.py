# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which a container is changed: one change at a time, and nobody between those that belong together."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from ..errors import NoSuchContainer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .standing import Standing


class Precedence:
    """A lock for the length of one change: `async with` it. It cannot be held while a run comes to its end, which may
    take an hour, and may be hurried by others meanwhile. So who wants something of the container after that end has
    the precedence: while nothing runs, all others wait.
    """

    def __init__(self, container: Standing) -> None:
        self._container = container
        self.change = asyncio.Lock()  # by itself for who belongs to a change that another has begun
        self._first = asyncio.Lock()
        self._holder: asyncio.Task[object] | None = None

    async def __aenter__(self) -> None:
        name = self._container.name
        await self.change.acquire()
        while self.is_anothers and not self._container.state.is_active:
            self.change.release()
            async with self._first:
                pass
            await self.change.acquire()
        try:
            self._refuse_if_renamed(name)
        except BaseException:
            self.change.release()
            raise

    async def __aexit__(self, *_: object) -> None:
        self.change.release()

    @contextlib.asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """The precedence. Whoever has it may take it again."""
        task = asyncio.current_task()
        if self._holder is not None and self._holder is task:
            yield
            return
        name = self._container.name
        async with self._first:
            self._refuse_if_renamed(name)
            self._holder = task
            try:
                yield
            finally:
                self._holder = None

    @property
    def is_anothers(self) -> bool:
        """The precedence."""
        return self._holder is not None and self._holder is not asyncio.current_task()

    def _refuse_if_renamed(self, name: str) -> None:
        """Whoever has waited has asked for what bore that name."""
        if self._container.name != name:
            raise NoSuchContainer(f"container {name!r} has been renamed to {self._container.name!r}")
