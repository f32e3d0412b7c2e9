# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd-resolved over org.freedesktop.resolve1(5), where it runs: which server an interface has for which domain."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from .presence import BUS

if TYPE_CHECKING:
    from collections.abc import Callable
    from ipaddress import IPv4Address

    from .manager import Bus

NAME = "org.freedesktop.resolve1"
PATH = "/org/freedesktop/resolve1"
INTERFACE = f"{NAME}.Manager"
BUS_PATH = "/org/freedesktop/DBus"
ROUTING_ONLY = True  # names in it are asked there and nowhere else, and it is nobody's search domain


class Resolved:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def watch(self, appeared: Callable[[], None]) -> None:
        """`appeared` is called whenever it has come back: it knows nothing of us then."""

        def changed(_path: str, body: list[Any]) -> None:
            name, _, owner = body
            if name == NAME and owner:
                appeared()

        await self._bus.on_signal(BUS, BUS, "NameOwnerChanged", changed)

    async def is_there(self) -> bool:
        """It is not started for this: where it does not run nobody asks it."""
        (found,) = await self._bus.call(BUS, BUS_PATH, BUS, "NameHasOwner", "s", [NAME])
        return bool(found)

    async def ask_there(self, index: int, server: IPv4Address, domain: str) -> None:
        """Names in the domain, and no others, are asked of that server while the interface of this index is up."""
        await self._call("SetLinkDNS", "ia(iay)", index, [[socket.AF_INET, server.packed]])
        await self._call("SetLinkDomains", "ia(sb)", index, [[domain, ROUTING_ONLY]])
        await self._call("SetLinkDefaultRoute", "ib", index, not ROUTING_ONLY)
        for member in ("SetLinkDNSSEC", "SetLinkLLMNR", "SetLinkMulticastDNS", "SetLinkDNSOverTLS"):
            await self._call(member, "is", index, "no")

    async def forget(self, index: int) -> None:
        await self._call("RevertLink", "i", index)

    async def _call(self, member: str, signature: str, *body: Any) -> None:
        await self._bus.call(NAME, PATH, INTERFACE, member, signature, body)
