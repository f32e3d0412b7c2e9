# SPDX-License-Identifier: GPL-3.0-or-later
"""Network namespaces of containers that have interfaces without an end on the host.

Such an interface goes when the kernel takes its namespace down, some time after the last process, and holds its
hardware address until then: a container that is started again at once could not have it. So the namespace is kept open
while the container runs, and the interfaces are removed in it when that has ended.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING

from .alone import alone

if TYPE_CHECKING:
    from collections.abc import Callable

    from .tasks import Tasks

log = logging.getLogger(__name__)


class Footholds:
    def __init__(self, tasks: Tasks, clear: Callable[[int], object]) -> None:
        """clear: removes them. It enters the namespace, and its thread ends there."""
        self._tasks = tasks
        self._clear = clear
        self._held: dict[str, int] = {}
        self._clearing: set[asyncio.Task[None]] = set()

    def hold(self, container: str, namespace: int) -> None:
        """Takes over the descriptor."""
        before = self._held.pop(container, None)
        self._held[container] = namespace
        if before is not None:
            os.close(before)

    def has(self, container: str) -> bool:
        return container in self._held

    def give_up(self, container: str) -> None:
        """It has ended, and what it had goes at once."""
        namespace = self._held.pop(container, None)
        if namespace is not None:
            task = self._tasks.start(self._release(namespace), "remove interfaces")
            self._clearing.add(task)
            task.add_done_callback(self._clearing.discard)

    async def given_up(self) -> None:
        """Returns when nothing is left of what has ended."""
        if self._clearing:
            await asyncio.wait(tuple(self._clearing))

    def close(self) -> None:
        for namespace in self._held.values():
            os.close(namespace)
        self._held = {}

    async def _release(self, namespace: int) -> None:
        try:
            await alone(lambda: self._clear(namespace), "network")
        except OSError as error:
            log.warning("interfaces of a container that has ended stay a while: %s", error.strerror or error)
        finally:
            os.close(namespace)
