# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is on the bus: owners of names, user ids, signals by the true sender, and news of those who left."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import MctlError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .codec import Message

BUS = "org.freedesktop.DBus"
BUS_PATH = "/org/freedesktop/DBus"

log = logging.getLogger(__name__)


class Caller(Protocol):
    async def call(
        self, destination: str, path: str, interface: str, member: str, signature: str = "", body: Sequence[object] = ()
    ) -> list[Any]: ...


@dataclass(frozen=True, slots=True)
class Credentials:
    """Of a peer, as the kernel told the bus when it connected; groups: all that its process was in."""

    uid: int
    groups: frozenset[int] = frozenset()
    pid: int = 0


@dataclass(frozen=True, slots=True)
class _Subscription:
    sender: str
    interface: str
    member: str
    path: str
    callback: Callable[[str, list[Any]], None]


class Peers:
    """Any peer can send us any signal by unicast (CVE-2024-34397): a signal counts only from the name's owner."""

    def __init__(self, bus: Caller) -> None:
        self._bus = bus
        self._owners: dict[str, str] = {}
        self._watched: set[str] = set()
        self._credentials: dict[str, asyncio.Task[Credentials]] = {}
        self._subscriptions: list[_Subscription] = []
        self._gone: list[Callable[[str], None]] = []
        self._succeeded: list[tuple[str, Callable[[], None]]] = []

    async def watch(self) -> None:
        """One match for all comings and goings."""
        await self._match(BUS, BUS, "NameOwnerChanged", BUS_PATH)

    async def on_signal(
        self, sender: str, interface: str, member: str, callback: Callable[[str, list[Any]], None], path: str
    ) -> None:
        await self._match(sender, interface, member, path)
        if sender != BUS and not sender.startswith(":"):
            await self._learn_owner(sender)
        self._subscriptions.append(_Subscription(sender, interface, member, path, callback))

    def on_gone(self, callback: Callable[[str], None]) -> None:
        self._gone.append(callback)

    def on_new_owner(self, name: str, callback: Callable[[], None]) -> None:
        """Of a name that on_signal() knows: it was started, or started anew."""
        self._succeeded.append((name, callback))

    async def credentials_of(self, sender: str) -> Credentials:
        """Asked once and known until the peer leaves; a unique name is never used twice."""
        task = self._credentials.get(sender)
        if task is None:
            task = self._credentials[sender] = asyncio.create_task(self._ask_credentials(sender))
            task.add_done_callback(lambda done: self._forget_failure(sender, done))
        return await asyncio.shield(task)

    def deliver(self, message: Message) -> None:
        """Looks at the header first: a body that nobody wants is not even decoded."""
        header = message.header
        if (header.sender, header.interface, header.member) == (BUS, BUS, "NameOwnerChanged"):
            self._name_owner_changed(*message.body())
        wanted = [
            s
            for s in self._subscriptions
            if (s.interface, s.member) == (header.interface, header.member)
            and s.path in ("", header.path)
            and header.sender == self._owner(s.sender)
        ]
        if wanted and not message.frame.oversized:
            body = message.body()
            for subscription in wanted:
                subscription.callback(header.path, body)

    def _owner(self, name: str) -> str:
        return name if name == BUS or name.startswith(":") else self._owners.get(name, "")

    async def _match(self, sender: str, interface: str, member: str, path: str) -> None:
        rule = f"type='signal',sender='{sender}',interface='{interface}',member='{member}'"
        await self._bus.call(BUS, BUS_PATH, BUS, "AddMatch", "s", [rule + (f",path='{path}'" if path else "")])

    async def _learn_owner(self, name: str) -> None:
        self._watched.add(name)
        try:
            (owner,) = await self._bus.call(BUS, BUS_PATH, BUS, "GetNameOwner", "s", [name])
        except MctlError:  # nobody yet: NameOwnerChanged will tell
            owner = ""
        self._owners.setdefault(name, owner)  # what NameOwnerChanged said meanwhile is newer

    def _name_owner_changed(self, name: str, old: str, new: str) -> None:
        if name in self._watched:
            self._owners[name] = new
            for wanted, tell in self._succeeded:
                if wanted == name and new:
                    tell()
        if old == name and not new:
            self._credentials.pop(name, None)
            for callback in self._gone:
                callback(name)

    async def _ask_credentials(self, sender: str) -> Credentials:
        (found,) = await self._bus.call(BUS, BUS_PATH, BUS, "GetConnectionCredentials", "s", [sender])
        groups = found["UnixGroupIDs"].value if "UnixGroupIDs" in found else ()
        pid = found["ProcessID"].value if "ProcessID" in found else 0
        return Credentials(int(found["UnixUserID"].value), frozenset(groups), int(pid))

    def _forget_failure(self, sender: str, task: asyncio.Task[Credentials]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._credentials.pop(sender, None)
