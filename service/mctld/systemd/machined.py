# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd-machined, org.freedesktop.machine1(5): containers that are operating systems are known to machinectl(1).

It follows the unit by itself: what has ended is forgotten, whoever of us lives; and it remembers the others over its
own restarts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import MctlError, SetupFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .manager import Bus

NAME = "org.freedesktop.machine1"
PATH = "/org/freedesktop/machine1"
MANAGER, MACHINE = f"{NAME}.Manager", f"{NAME}.Machine"
PROPERTIES = "org.freedesktop.DBus.Properties"
BUS, BUS_PATH = "org.freedesktop.DBus", "/org/freedesktop/DBus"
EXISTS = f"{NAME}.MachineExists"
SERVICE, CLASS = "mctl", "container"
STEP = "register it with systemd-machined"
NO_ROOT = ""  # it is on no path of the host; what asks for it goes through the leader


class Machined:
    """Asking starts it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def check(self) -> None:
        """Raises SetupFailed where it is not installed."""
        (names,) = await self._bus.call(BUS, BUS_PATH, BUS, "ListActivatableNames")
        if NAME not in names:
            raise SetupFailed(STEP, "this host has none: install the Debian package systemd-container")

    async def register(self, name: str, identity: str, leader: int, unit: str, interfaces: Sequence[int]) -> None:
        """identity: 32 hexadecimal digits. leader: its first process, which is in `unit` already. interfaces: the
        host's ends of its links, by index."""
        machine = [name, bytes.fromhex(identity), SERVICE, CLASS, leader, NO_ROOT, list(interfaces)]
        try:
            try:
                await self._register(machine)
            except MctlError as error:
                if getattr(error, "name", "") != EXISTS or not await self._is_ours(name, unit):
                    raise
                await self._call("UnregisterMachine", "s", name)  # an earlier run's, whose end it has not seen yet
                await self._register(machine)
        except MctlError as error:
            raise SetupFailed(STEP, error) from error

    async def _register(self, machine: list[Any]) -> None:
        await self._call("RegisterMachineWithNetwork", "sayssusai", *machine)

    async def _is_ours(self, name: str, unit: str) -> bool:
        (path,) = await self._call("GetMachine", "s", name)
        (found,) = await self._bus.call(NAME, path, PROPERTIES, "GetAll", "s", [MACHINE])
        return bool(found["Service"].value == SERVICE and found["Unit"].value == unit)

    async def _call(self, member: str, signature: str, *body: Any) -> list[Any]:
        return await self._bus.call(NAME, PATH, MANAGER, member, signature, body)
