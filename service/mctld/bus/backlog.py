# SPDX-License-Identifier: GPL-3.0-or-later
"""What users leave unread at the bus daemon: who reads nothing must not silence the service for everybody.

dbus-daemon counts a message as ours until its receiver has read it, and reads nothing more from us once all of them
together reach max_incoming_bytes (127 MiB on the system bus). It also lets each receiver leave just as much unread,
so that two peers who never read could stop the service: tests/bus/test_backlog.py shows it. dbus-broker keeps such
accounts itself; there, and where dbus-daemon is built without statistics, nothing is limited here.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import LimitsExceeded, MctlError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BUS = "org.freedesktop.DBus"
BUS_PATH = "/org/freedesktop/DBus"
STATS = "org.freedesktop.DBus.Debug.Stats"
LIMIT = 4 << 20  # bytes of ours that the peers of one user may leave unread
PEER_LIMIT = 64 << 10  # a subscriber who has more while the user is over the limit is not told any more
SILENCE = 2 * LIMIT  # beyond this not even refusals are sent

log = logging.getLogger(__name__)


class Bus(Protocol):
    async def call(
        self, destination: str, path: str, interface: str, member: str, signature: str = "", body: Sequence[object] = ()
    ) -> list[Any]: ...


class Backlog:
    """Estimates by what was sent, and looks at what is unread only where the estimate is high."""

    def __init__(self, bus: Bus, on_full: Callable[[str], None]) -> None:
        self._bus = bus
        self._on_full = on_full
        self._users: dict[str, int] = {}
        self._estimates: Counter[int] = Counter()
        self._looks: dict[int, asyncio.Task[None]] = {}

    async def check(self, sender: str, uid: int) -> None:
        """Raises LimitsExceeded where the user leaves too much unread."""
        self._users[sender] = uid
        if self._estimates[uid] > LIMIT:
            await asyncio.shield(self._look(uid))
        if self._estimates[uid] > LIMIT:
            raise LimitsExceeded(f"answers and signals of {LIMIT} bytes wait for you: read them first")

    def charge(self, receiver: str, size: int) -> None:
        """Something was sent to a peer."""
        uid = self._users.get(receiver)
        if uid is None:
            return
        self._estimates[uid] += size
        if self._estimates[uid] > LIMIT:
            self._look(uid)

    def is_hopeless(self, receiver: str) -> bool:
        uid = self._users.get(receiver)
        return uid is not None and self._estimates[uid] > SILENCE

    def forget(self, sender: str) -> None:
        self._users.pop(sender, None)

    async def close(self) -> None:
        for look in self._looks.values():
            look.cancel()
        await asyncio.gather(*self._looks.values(), return_exceptions=True)

    def _look(self, uid: int) -> asyncio.Task[None]:
        """One at a time for each user, however many ask."""
        if uid not in self._looks:
            self._looks[uid] = asyncio.create_task(self._count(uid))
            self._looks[uid].add_done_callback(lambda _: self._looks.pop(uid))
        return self._looks[uid]

    async def _count(self, uid: int) -> None:
        before = self._estimates[uid]
        unread = {sender: await self._unread(sender) for sender, user in list(self._users.items()) if user == uid}
        self._estimates[uid] += sum(unread.values()) - before
        if self._estimates[uid] > LIMIT:
            for sender in (s for s, size in unread.items() if size > PEER_LIMIT):
                log.info("%s of user %d does not read what it is sent: no signals any more", sender, uid)
                self._on_full(sender)

    async def _unread(self, peer: str) -> int:
        try:
            (numbers,) = await self._bus.call(BUS, BUS_PATH, STATS, "GetConnectionStats", "s", [peer])
        except MctlError as error:  # gone, or no statistics here
            log.debug("what %s has not read is unknown: %s", peer, error)
            return 0
        return int(numbers["OutgoingBytes"].value)
