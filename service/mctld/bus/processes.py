# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of a container, as the bus tells of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbus_next.signature import Variant

from ..security import ID_RANGE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..process import Process
    from .engine import Container

NOBODY = 2**32 - 1


def told(container: Container, found: Sequence[Process]) -> list[dict[str, Variant]]:
    inner = {each.pid: each.inner_pid for each in found}
    return [_one(container, each, inner) for each in found]


def _one(container: Container, process: Process, inner: Mapping[int, int]) -> dict[str, Variant]:
    uid = process.uid
    if container.spec.security.has_user_namespace:
        uid = uid - container.uid_shift if 0 <= uid - container.uid_shift < ID_RANGE else NOBODY
    return {
        "PID": Variant("u", process.pid),
        "ContainerPID": Variant("u", process.inner_pid),
        "ContainerParentPID": Variant("u", inner.get(process.parent, 0)),
        "UID": Variant("u", process.uid),
        "ContainerUID": Variant("u", uid),
        "State": Variant("s", process.state),
        "CPUUsageUSec": Variant("t", process.cpu_usec),
        "ElapsedUSec": Variant("t", process.elapsed_usec),
        "MemoryResident": Variant("t", process.memory),
        "Name": Variant("s", process.name),
        "Command": Variant("as", list(process.command)),
    }
