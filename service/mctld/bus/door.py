# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens the service to the bus, and closes it in order."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from .. import chronicle
from . import objects
from .audit import Audit
from .authority import RULES, Authority
from .backlog import Backlog
from .bounds import Rate
from .connection import BusGone
from .contract import NAME, Contract, ContractError
from .dispatch import Dispatcher
from .image_signals import ImageHerald
from .job_signals import JobHerald
from .manager import Manager
from .objects import Objects
from .signals import Herald
from .standard import MEMBER
from .turns import Turns
from .visible import Visible
from .volume_signals import VolumeHerald

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..quotas import Quotas
    from .connection import Connection
    from .engine import Checkup, LogControl, Registry
    from .peers import Credentials

GRACE = 5.0  # seconds for calls that are changing something


class Door:
    """Made by open_door."""

    def __init__(
        self, connection: Connection, dispatcher: Dispatcher, herald: Herald, backlog: Backlog, audit: Audit
    ) -> None:
        self._audit = audit
        self._connection = connection
        self._dispatcher = dispatcher
        self._herald = herald
        self._backlog = backlog

    async def close(self, *, grace: float = GRACE) -> None:
        """Drops the name, so that the next call starts a new service; answers what is in flight; sends it all."""
        with contextlib.suppress(BusGone):  # then the name is gone already
            await self._connection.release_name(NAME)
        await self._dispatcher.close(grace)
        self._audit.close()
        self._herald.close()
        await self._backlog.close()
        await self._connection.drain()


async def open_door(
    connection: Connection,
    registry: Registry,
    checkup: Checkup,
    contract_directory: str,
    log_control: LogControl,
    quotas: Quotas,
    *,
    identify: Callable[[str], Awaitable[Credentials]] | None = None,
    send: Callable[..., object] = chronicle.send,
) -> Door:
    """Raises ContractError before anything is served; the name comes last. `identify` tells who a sender is, `send`
    takes the record of what was refused and granted.
    """
    contract = checked_contract(contract_directory)
    audit = Audit(send)
    turns = Turns()
    authority = Authority(connection, audit.note, turns)
    visible = Visible(registry, authority)
    herald = Herald(connection, contract, registry, authority)
    manager = Manager(contract, registry, checkup, visible, herald, authority)
    backlog = Backlog(connection, herald.unsubscribe)
    rate = Rate(quotas.calls)
    served = Objects(contract, registry, visible, manager, authority, log_control)
    identify = identify or connection.credentials_of
    dispatcher = Dispatcher(connection, served, authority, identify, backlog, rate, turns)
    connection.on_sent = backlog.charge
    connection.on_peer_gone(backlog.forget)
    registry.events.subscribe(herald)
    registry.images.listeners.append(ImageHerald(herald, contract, registry.images))
    registry.transfers.listeners.append(JobHerald(herald))
    registry.volumes.listeners.append(VolumeHerald(herald, contract, registry.volumes))
    await herald.follow(connection)
    connection.on_call = dispatcher
    await connection.request_name(NAME)
    return Door(connection, dispatcher, herald, backlog, audit)


def checked_contract(directory: str) -> Contract:
    """Every member has a handler and an action that the authority knows."""
    contract = Contract(directory)
    objects.check(contract)
    for interface in contract.interfaces.values():
        for member in interface.members:
            if member.action not in RULES and member.action != MEMBER:
                raise ContractError(f"{member} declares {member.action}, which the authority does not know")
        for property_ in interface.properties.values():
            if (property_.access != "read") != (property_.set_action in RULES):
                raise ContractError(f"{property_} is {property_.access}, and setting it takes {property_.set_action!r}")
    return contract
