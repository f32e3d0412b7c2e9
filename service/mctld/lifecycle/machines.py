# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers that boot an operating system: what a start does for them, and who is to know of them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

from .. import machine
from ..runtime import delegation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..store import Record
    from .endowment import Endowment
    from .machinery import Machinery
    from .place import Place


def announce(record: Record, made: Endowment) -> None:
    if record.spec.machine:
        made.environment |= machine.environment(record.id)


def delegate(record: Record, place: Place) -> None:
    """Its PID 1 makes cgroups of its own below its unit's."""
    if record.spec.machine and record.spec.security.has_user_namespace:
        delegation.delegate(place.control_group, record.uid_shift)


async def register(machinery: Machinery, record: Record, place: Place, leader: int) -> None:
    if record.spec.machine:
        interfaces = await asyncio.to_thread(_indices, machinery.networks.links(record))
        await machinery.machined.register(record.spec.name, record.id, leader, place.unit, interfaces)


def _indices(links: Iterable[str]) -> list[int]:
    found = []
    for link in links:
        with contextlib.suppress(OSError):  # it has just been disconnected
            found.append(socket.if_nametoindex(link))
    return found
