# SPDX-License-Identifier: GPL-3.0-or-later
"""One property of another service, asked for over the bus; asking starts the service where that is possible."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbus_next.signature import Variant

if TYPE_CHECKING:
    from .manager import Bus

PROPERTIES = "org.freedesktop.DBus.Properties"


async def text(bus: Bus, name: str, path: str, interface: str, wanted: str) -> str:
    """Empty where it is no text. Raises MctlError where nobody answers."""
    match await bus.call(name, path, PROPERTIES, "Get", "ss", [interface, wanted]):
        case [Variant(value=str(found))]:
            return found
    return ""
