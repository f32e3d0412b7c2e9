# SPDX-License-Identifier: GPL-3.0-or-later
"""News travels upward only as events: the lifecycle tells, whoever subscribed listens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..networking import Network
    from .container import Container
    from .exec import Exec


@dataclass(frozen=True, slots=True)
class Exit:
    """How a run ended.

    how: exited, killed, oom, never-started or unknown. status: exit code, or signal number for killed and oom.
    """

    how: str
    status: int = 0


class Listener(Protocol):
    """What the bus offers to hear. Called in the event loop; must not block or raise."""

    def added(self, container: Container) -> None: ...

    def removed(self, container: Container) -> None: ...

    def changed(self, container: Container, properties: Iterable[str]) -> None:
        """`properties` are names of org.mctl1.Container properties."""

    def exited(self, container: Container, end: Exit) -> None: ...

    def network_added(self, network: Network) -> None: ...

    def network_removed(self, network: Network) -> None: ...

    def exec_added(self, found: Exec) -> None: ...

    def exec_ended(self, found: Exec) -> None: ...

    def exec_removed(self, found: Exec) -> None: ...


class Events:
    """Tells each listener, in the order in which they subscribed."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def added(self, container: Container) -> None:
        for listener in self._listeners:
            listener.added(container)

    def removed(self, container: Container) -> None:
        for listener in self._listeners:
            listener.removed(container)

    def changed(self, container: Container, *properties: str) -> None:
        for listener in self._listeners:
            listener.changed(container, properties)

    def exited(self, container: Container, end: Exit) -> None:
        for listener in self._listeners:
            listener.exited(container, end)

    def network_added(self, network: Network) -> None:
        for listener in self._listeners:
            listener.network_added(network)

    def network_removed(self, network: Network) -> None:
        for listener in self._listeners:
            listener.network_removed(network)

    def exec_added(self, found: Exec) -> None:
        for listener in self._listeners:
            listener.exec_added(found)

    def exec_ended(self, found: Exec) -> None:
        for listener in self._listeners:
            listener.exec_ended(found)

    def exec_removed(self, found: Exec) -> None:
        for listener in self._listeners:
            listener.exec_removed(found)
