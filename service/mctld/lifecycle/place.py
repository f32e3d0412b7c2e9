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


def control_group_of(pid: int) -> str:
    """Empty where there is no such process."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
            return next(line[3:].rstrip("\n") for line in file if line.startswith("0::"))
    except (OSError, StopIteration):
        return ""


def found(record: Record, control_group: str) -> Place | None:
    """Where a process in that cgroup is, if it is of this container."""
    scope_place, group = in_scope(record), _of_unit(control_group)
    if group == scope_place.control_group:
        return scope_place
    if group.endswith(f"/{service.unit_name(record.spec.name)}"):  # in whatever slice it was put
        return in_service(record, group)
    return None


def _of_unit(control_group: str) -> str:
    """Of the unit it is in: slices lie in slices only, and below a unit others choose the names."""
    parts = control_group.split("/")
    depth = next((number for number, part in enumerate(parts) if part and not part.endswith(".slice")), len(parts))
    return "/".join(parts[: depth + 1])
