# SPDX-License-Identifier: GPL-3.0-or-later
"""The unit of PID 1's that a run is in: a scope of ours, or a service that PID 1 has started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..systemd import scope, service

if TYPE_CHECKING:
    from ..store import Record


@dataclass(frozen=True, slots=True)
class Place:
    """launcher: the process that PID 1 waits for while it starts a service, 0 otherwise."""

    unit: str
    control_group: str
    launcher: int = 0

    @property
    def is_service(self) -> bool:
        return self.unit.endswith(".service")


def in_scope(record: Record) -> Place:
    name = record.spec.name
    return Place(scope.unit_name(name), scope.control_group(name, record.owner_uid))


def in_service(record: Record, control_group: str = "") -> Place:
    name = record.spec.name
    return Place(service.unit_name(name), control_group or service.control_group(name, record.owner_uid))


def units(record: Record) -> tuple[str, str]:
    """All that its runs may have been in."""
    return in_scope(record).unit, in_service(record).unit


def found(record: Record, control_group: str) -> Place | None:
    """Where a process in that cgroup is, if it is of this container."""
    scope_place = in_scope(record)
    if control_group == scope_place.control_group:
        return scope_place
    if control_group.endswith(f"/{service.unit_name(record.spec.name)}"):  # in whatever slice it was put
        return in_service(record, control_group)
    return None
