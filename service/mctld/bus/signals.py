# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells subscribers what happens, one by one: nothing is broadcast, nobody hears of what they may not see."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import container as bus_container
from . import exec as bus_exec
from . import manager
from . import network as bus_network
from .container import ContainerObject
from .exec import ExecObject
from .network import NetworkObject
from .paths import ROOT, container_path, exec_path, network_path
from .polkit import POLKIT, POLKIT_INTERFACE, POLKIT_PATH
from .standard import OBJECT_MANAGER, PROPERTIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from dbus_next.signature import Variant

    from ..lifecycle.events import Exit
    from ..networking import Network
    from .authority import Authority
    from .connection import Connection
    from .contract import Contract, Property
    from .engine import Container, Exec, Registry
    from .question import Call

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Subscriber:
    call: Call  # by which it has subscribed
    sees_all: bool

    @property
    def uid(self) -> int:
        return self.call.uid

    def may_see(self, owners: frozenset[int] | None) -> bool:
        """None: everybody may."""
        return owners is None or self.sees_all or self.uid in owners


class Herald:
    """A listener of the lifecycle. Changes of one loop turn become one PropertiesChanged for each container."""

    def __init__(self, connection: Connection, contract: Contract, registry: Registry, authority: Authority) -> None:
        self._connection = connection
        self._contract = contract
        self._registry = registry
        self._authority = authority
        self._interface = contract[bus_container.INTERFACE]
        self._exec = contract[bus_exec.INTERFACE]
        self._network = contract[bus_network.INTERFACE]
        self._subscribers: dict[str, _Subscriber] = {}
        self._changes: dict[str, tuple[Container, dict[str, None]]] = {}
        self._loop = asyncio.get_running_loop()
        self._reconsidering: asyncio.Task[None] | None = None
        self._again = False
        connection.on_peer_gone(self.unsubscribe)

    async def subscribe(self, call: Call) -> None:
        """What others' containers are concerned, as polkit says, without asking anybody."""
        self._subscribers[call.sender] = _Subscriber(call, await self._authority.sees_all(call))

    async def follow(self, connection: Connection) -> None:
        """polkit's rules have changed, or its sessions: what was said at the subscription may not hold any more."""
        await connection.on_signal(POLKIT, POLKIT_INTERFACE, "Changed", lambda *_: self._reconsider(), POLKIT_PATH)
        connection.peers.on_new_owner(POLKIT, self._reconsider)

    def _reconsider(self) -> None:
        self._again = bool(self._subscribers)
        if self._again and self._reconsidering is None:
            self._reconsidering = self._loop.create_task(self._ask_again())

    async def _ask_again(self) -> None:
        try:
            while self._again:
                self._again = False
                for sender, subscriber in list(self._subscribers.items()):
                    sees_all = await self._authority.sees_all(subscriber.call)
                    if self._subscribers.get(sender) is subscriber:
                        self._subscribers[sender] = _Subscriber(subscriber.call, sees_all)
        finally:
            self._reconsidering = None

    def unsubscribe(self, sender: str) -> None:
        self._subscribers.pop(sender, None)

    def added(self, container: Container) -> None:
        def body() -> list[object]:
            values = self._object(container).values(tuple(self._interface.properties.values()))
            return [container_path(container.name), {self._interface.name: values}]

        self._tell(container, ROOT, OBJECT_MANAGER, "InterfacesAdded", body)

    def removed(self, container: Container) -> None:
        self._tell_changes(container)
        path = container_path(container.name)
        self._tell(container, ROOT, OBJECT_MANAGER, "InterfacesRemoved", lambda: [path, [self._interface.name]])

    def changed(self, container: Container, properties: Iterable[str]) -> None:
        if not self._subscribers:
            return
        if not self._changes:
            self._loop.call_soon(self.flush)
        _, names = self._changes.setdefault(container.id, (container, {}))
        names.update(dict.fromkeys(properties))

    def exited(self, container: Container, end: Exit) -> None:
        self._tell_changes(container)
        path = container_path(container.name)
        body = [path, container.id, end.how, end.status]
        self._tell(container, ROOT, manager.INTERFACE, "ContainerExited", lambda: body)

    def network_added(self, network: Network) -> None:
        def body() -> list[object]:
            there = NetworkObject(self._registry.networks, [self._network], network.name, network)
            values = there.values(tuple(self._network.properties.values()))
            return [network_path(network.name), {self._network.name: values}]

        self._tell_of_network(network, "InterfacesAdded", body)

    def network_removed(self, network: Network) -> None:
        body: list[object] = [network_path(network.name), [self._network.name]]
        self._tell_of_network(network, "InterfacesRemoved", lambda: body)

    def exec_added(self, found: Exec) -> None:
        self._tell_of_exec(found, ROOT, OBJECT_MANAGER, "InterfacesAdded", lambda: [
            exec_path(found.id), {self._exec.name: self._exec_values(found, *self._exec.properties)}
        ])  # fmt: skip

    def exec_ended(self, found: Exec) -> None:
        self._tell_of_exec(found, exec_path(found.id), PROPERTIES, "PropertiesChanged", lambda: [
            self._exec.name, self._exec_values(found, "State", "PID", "ExitHow", "ExitStatus"), []
        ])  # fmt: skip

    def exec_removed(self, found: Exec) -> None:
        body: list[object] = [exec_path(found.id), [self._exec.name]]
        self._tell_of_exec(found, ROOT, OBJECT_MANAGER, "InterfacesRemoved", lambda: body)

    def _exec_values(self, found: Exec, *names: str) -> dict[str, Variant]:
        there = ExecObject(self._registry, [self._exec], found.id, found)
        return there.values([self._exec.properties[name] for name in names])

    def close(self) -> None:
        """What has happened is told."""
        self.flush()
        if self._reconsidering is not None:
            self._reconsidering.cancel()

    def flush(self) -> None:
        for container, _ in list(self._changes.values()):
            self._tell_changes(container)

    def _tell_changes(self, container: Container) -> None:
        if container.id not in self._changes:
            return
        _, names = self._changes.pop(container.id)
        changed = self._properties(names, "true")
        invalidated = [p.name for p in self._properties(names, "invalidates")]
        if changed or invalidated:
            there = self._object(container)
            body = lambda: [self._interface.name, there.values(changed), invalidated]  # noqa: E731
            self._tell(container, there.path, PROPERTIES, "PropertiesChanged", body)

    def _properties(self, names: Iterable[str], emits: str) -> list[Property]:
        known = self._interface.properties
        return [known[name] for name in names if name in known and known[name].emits == emits]

    def _object(self, container: Container) -> ContainerObject:
        return ContainerObject(self._registry, [self._interface], container.name, container)

    def _tell(
        self, container: Container, path: str, interface: str, member: str, body: Callable[[], Sequence[object]]
    ) -> None:
        self.tell(frozenset((container.owner_uid,)), path, interface, member, body)

    def _tell_of_exec(
        self, found: Exec, path: str, interface: str, member: str, body: Callable[[], Sequence[object]]
    ) -> None:
        owners = frozenset((found.about.owner_uid, found.about.by_uid))
        self.tell(owners, path, interface, member, body)

    def _tell_of_network(self, network: Network, member: str, body: Callable[[], Sequence[object]]) -> None:
        hearers = [name for name, subscriber in self._subscribers.items() if network.is_visible_to(subscriber.uid)]
        self._send(hearers, ROOT, OBJECT_MANAGER, member, body)

    def tell(
        self,
        owners: frozenset[int] | None,
        path: str,
        interface: str,
        member: str,
        body: Callable[[], Sequence[object]],
    ) -> None:
        hearers = [name for name, subscriber in self._subscribers.items() if subscriber.may_see(owners)]
        self._send(hearers, path, interface, member, body)

    def _send(
        self, hearers: Sequence[str], path: str, interface: str, member: str, body: Callable[[], Sequence[object]]
    ) -> None:
        """A listener must not raise: what cannot be told is logged whole. owners None: for everybody."""
        if not hearers:
            return
        signature = self._contract[interface].signals[member].signature
        try:
            values = body()
            for name in hearers:
                self._connection.signal(name, path, interface, member, signature, values)
        except Exception:
            log.exception("%s of %s could not be told", member, path)
