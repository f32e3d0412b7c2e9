# SPDX-License-Identifier: GPL-3.0-or-later
"""The service on a private bus: the real door, a simulated lifecycle, a fake polkit, and clients of any user."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, Self

from bus.polkit import FakePolkit
from bus.simulated_checkup import SimulatedCheckup, SimulatedLogControl
from bus.simulation import SimulatedRegistry
from mctld.bus.codec import ALLOW_INTERACTIVE_AUTHORIZATION, Header, Kind
from mctld.bus.connection import BUS, BUS_PATH, Connection, RemoteError
from mctld.bus.door import Door, open_door
from mctld.bus.paths import ROOT, container_path
from mctld.bus.peers import Credentials
from mctld.quotas import Quotas

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from dbus_next.signature import Variant

    from mctld.bus.codec import Message

CONTRACT = os.path.join(os.path.dirname(__file__), "../../dbus")
NAME = "org.mctl1"
MANAGER = "org.mctl1.Manager"
CONTAINER = "org.mctl1.Container"
PROPERTIES = "org.freedesktop.DBus.Properties"
GENEROUS = Quotas(calls=None)  # what a flood does is shown without that bound; test_bounds.py is about it
ROOT_UID, ALICE, BOB = 0, 1000, 1001


class Client:
    """A peer on the bus; it remembers the signals sent to it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.name = connection.unique_name
        self.signals: list[tuple[str, str, list[Any]]] = []
        connection.peers.deliver = self._on_signal  # type: ignore[method-assign]

    async def call(
        self,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        *body: object,
        fds: Sequence[int] = (),
        interactive: bool = False,
    ) -> list[Any]:
        flags = ALLOW_INTERACTIVE_AUTHORIZATION if interactive else 0
        return await self.connection.call(NAME, path, interface, member, signature, body, fds=fds, flags=flags)

    async def manager(self, member: str, signature: str = "", *body: object, **options: Any) -> list[Any]:
        return await self.call(ROOT, MANAGER, member, signature, *body, **options)

    async def container(self, name: str, member: str, signature: str = "", *body: object, **options: Any) -> list[Any]:
        return await self.call(container_path(name), CONTAINER, member, signature, *body, **options)

    async def get(self, name: str, wanted: str) -> Any:
        (value,) = await self.call(container_path(name), PROPERTIES, "Get", "ss", CONTAINER, wanted)
        return value.value

    async def error(self, *args: Any, **options: Any) -> RemoteError:
        """The error of a call that must fail."""
        try:
            answer = await self.call(*args, **options)
        except RemoteError as error:
            return error
        raise AssertionError(f"the call was answered: {answer}")

    async def exchange(
        self, path: str, interface: str, member: str, signature: str, *body: object, fds: Sequence[int] = ()
    ) -> Message:
        """The whole reply, with its descriptors."""
        header = Header(Kind.CALL, 0, 0, path, interface, member, destination=NAME, signature=signature)
        return await self.connection.exchange(header, body, fds)

    async def run(self, name: str, options: dict[str, Variant], flags: int, fds: Sequence[int]) -> Message:
        return await self.exchange(ROOT, MANAGER, "RunContainer", "sa{sv}t", name, options, flags, fds=fds)

    async def settled(self) -> None:
        """Everything that the service has sent us so far has arrived."""
        await self.call("/", "org.freedesktop.DBus.Peer", "Ping")

    def _on_signal(self, message: Message) -> None:
        header = message.header
        if header.sender != BUS:
            self.signals.append((header.member, header.path, message.body()))


class House:
    """async with House(address) as house"""

    connection: Connection
    polkit: FakePolkit
    door: Door

    def __init__(self, address: str, *, polkit: bool = True, quotas: Quotas = GENEROUS) -> None:
        self.address = address
        self.registry = SimulatedRegistry()
        self._with_polkit = polkit
        self.quotas = quotas
        self.log_control = SimulatedLogControl()
        self.record: list[dict[str, str | int]] = []  # what the journal would have got
        self._uids: dict[str, int] = {}
        self._clients: list[Client] = []

    async def __aenter__(self) -> Self:
        self.connection = await Connection.open(self.address)
        if self._with_polkit:
            self.polkit = await FakePolkit.open(self.address)
        services = self.registry, SimulatedCheckup(), CONTRACT, self.log_control, self.quotas
        self.door = await open_door(self.connection, *services, identify=self._identify, send=self._record)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.door.close(grace=0.1)
        for client in self._clients:
            await client.connection.close()
        if self._with_polkit:
            await self.polkit.connection.close()
        await self.connection.close()
        assert len(asyncio.all_tasks()) == 1, asyncio.all_tasks()

    def _record(self, sentence: str, **fields: str | int) -> None:
        self.record.append({"MESSAGE": sentence, **fields})

    async def client(self, uid: int) -> Client:
        client = Client(await Connection.open(self.address))
        self._uids[client.name] = uid
        self._clients.append(client)
        return client

    async def leave(self, client: Client) -> None:
        self._clients.remove(client)
        await client.connection.close()

    async def owns_its_name(self) -> bool:
        (owner,) = await self.connection.call(BUS, BUS_PATH, BUS, "GetNameOwner", "s", [NAME])
        return bool(owner == self.connection.unique_name)

    async def _identify(self, sender: str) -> Credentials:
        await self.connection.credentials_of(sender)  # the peer must be there, as it must for the real service
        return Credentials(self._uids[sender], frozenset({self._uids[sender]}))
