# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports at which PID 1 listens for a container that does not run yet, and what becomes of it when nobody calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .bounds import INFINITY, check_range, shown
from .errors import InvalidArgs
from .ports import Port, check_ports

if TYPE_CHECKING:
    from collections.abc import Mapping

STOP, FREEZE = "stop", "freeze"
ACTIONS = (STOP, FREEZE)
SOCKETS_MAX = 64  # every port of a range counted: each is a descriptor of PID 1's
LEAST_IDLE_USEC = 1_000_000


@dataclass(frozen=True, slots=True)
class Activation:
    """idle_usec: without a connection to any of these ports, after which on_idle is done; INFINITY: never."""

    ports: tuple[Port, ...] = ()
    idle_usec: int = INFINITY
    on_idle: str = STOP

    def __post_init__(self) -> None:
        check_ports(self.ports)
        for port in self.ports:
            if port.protocol != "tcp":
                raise InvalidArgs(f"ActivatedPorts {port} has to be of tcp: only connections can be waited for")
            if not port.host:
                raise InvalidArgs(f"ActivatedPorts {port} needs a host port: name the one to listen at")
        total = sum(port.count for port in self.ports)
        if total > SOCKETS_MAX:
            raise InvalidArgs(f"ActivatedPorts has {total} ports: the most is {SOCKETS_MAX}")
        if self.on_idle not in ACTIONS:
            raise InvalidArgs(f"IdleAction {shown(self.on_idle)} is not known: give {' or '.join(ACTIONS)}")
        if self.idle_usec != INFINITY:
            check_range("IdleUSec", self.idle_usec, LEAST_IDLE_USEC, INFINITY)
            if not self.ports:
                raise InvalidArgs("IdleUSec needs ActivatedPorts: without them nothing would start it again")

    def __bool__(self) -> bool:
        return bool(self.ports)


def restored(found: Mapping[str, Any]) -> Activation:
    """From what dataclasses.asdict() and JSON have made of one."""
    return Activation(**{**found, "ports": tuple(Port(**port) for port in found.get("ports", ()))})
