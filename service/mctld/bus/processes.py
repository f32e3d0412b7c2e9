# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of a container, as the bus tells of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..security import ID_RANGE
from .codec import encode_properties

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..process import Process
    from .codec import Encoded
    from .engine import Container

NOBODY = 2**32 - 1


def told(container: Container, found: Sequence[Process]) -> list[Encoded]:
    """As bytes, and so slow, for a thread."""
    inner = {each.pid: each.inner_pid for each in found}
    return [_one(container, each, inner) for each in found]


def _one(container: Container, process: Process, inner: Mapping[int, int]) -> Encoded:
    uid = process.uid
    if container.spec.security.has_user_namespace:
        uid = uid - container.uid_shift if 0 <= uid - container.uid_shift < ID_RANGE else NOBODY
    return encode_properties((
        ("PID", "u", process.pid),
        ("ContainerPID", "u", process.inner_pid),
        ("ContainerParentPID", "u", inner.get(process.parent, 0)),
        ("UID", "u", process.uid),
        ("ContainerUID", "u", uid),
        ("State", "s", process.state),
        ("CPUUsageUSec", "t", process.cpu_usec),
        ("ElapsedUSec", "t", process.elapsed_usec),
        ("MemoryResident", "t", process.memory),
        ("Name", "s", process.name),
        ("Command", "as", list(process.command)),
    ))
