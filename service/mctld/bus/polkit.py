# SPDX-License-Identifier: GPL-3.0-or-later
"""polkit: what it is asked is asked again where it has died over it, since the answer was never a refusal.

Who calls it while PID 1 has not heard of its end waits for nothing: PID 1 finds it active, and dbus-daemon gives up
after 25 s (dbus-daemon(1), service_start_timeout). So it is started by PID 1 first, and nobody asks it meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import MctlError
from .connection import RemoteError

if TYPE_CHECKING:
    from collections.abc import Sequence

POLKIT = "org.freedesktop.PolicyKit1"
POLKIT_PATH = "/org/freedesktop/PolicyKit1/Authority"
POLKIT_INTERFACE = "org.freedesktop.PolicyKit1.Authority"
UNIT = "polkit.service"
DIED = "org.freedesktop.DBus.Error.NoReply"  # it was there when it was asked
TIMES = 3  # of asking one question
PATIENCE = 10.0  # seconds in which it is back, or does not come
PAUSE = 0.1

log = logging.getLogger(__name__)


class Bus(Protocol):
    async def call(
        self, destination: str, path: str, interface: str, member: str, signature: str = "", body: Sequence[object] = ()
    ) -> list[Any]: ...
    def send(
        self, destination: str, path: str, interface: str, member: str, signature: str = "", body: Sequence[object] = ()
    ) -> None: ...


class Polkit:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._return: asyncio.Task[None] | None = None

    async def check(self, body: Sequence[object]) -> list[Any]:
        """CheckAuthorization of it, with these arguments. Raises MctlError."""
        left = TIMES
        while True:
            if self._return is not None:
                await asyncio.shield(self._return)
            try:
                return await self._bus.call(
                    POLKIT, POLKIT_PATH, POLKIT_INTERFACE, "CheckAuthorization", "(sa{sv})sa{ss}us", body
                )
            except RemoteError as error:
                left -= 1
                if error.name != DIED or not left:
                    raise
                self._await_return()

    def cancel(self, cancellation: str) -> None:
        """The prompt disappears from the person's screen. One that has died meanwhile is not started for that."""
        try:
            self._bus.send(POLKIT, POLKIT_PATH, POLKIT_INTERFACE, "CancelCheckAuthorization", "s", [cancellation])
        except MctlError as error:  # the bus is gone, and the prompt with it
            log.debug("cannot cancel %s: %s", cancellation, error)

    def _await_return(self) -> None:
        if self._return is None:
            self._return = asyncio.get_running_loop().create_task(self._bring_back())
            self._return.add_done_callback(self._is_back)

    def _is_back(self, _: asyncio.Task[None]) -> None:
        self._return = None

    async def _bring_back(self) -> None:
        """PID 1 is told again and again: until it has heard of the end, it has nothing to start."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not await self._is_there():
                    await self._ask_pid_1("StartUnit", "ss", [UNIT, "replace"])
                    await asyncio.sleep(PAUSE)
        except (MctlError, TimeoutError) as error:
            log.debug("polkit does not come back: %s", error)

    async def _is_there(self) -> bool:
        name, path = "org.freedesktop.DBus", "/org/freedesktop/DBus"
        (found,) = await self._bus.call(name, path, name, "NameHasOwner", "s", [POLKIT])
        return bool(found)

    async def _ask_pid_1(self, member: str, signature: str, body: Sequence[object]) -> None:
        name, path = "org.freedesktop.systemd1", "/org/freedesktop/systemd1"
        await self._bus.call(name, path, f"{name}.Manager", member, signature, body)
