# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers that stand still for a while."""

from __future__ import annotations

from ..errors import NotPaused, NotRunning, SetupFailed
from . import state
from .cgroup import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .call import Call


def freeze(call: Call, *, frozen: bool) -> None:
    with state.find(call.root, call.options.identifier()) as entry:
        record = entry.record()
        now = state.status(entry, record)
        if frozen and now not in (state.RUNNING, state.CREATED):
            raise NotRunning(f"cannot pause container {entry.name!r}: it is {now}, and must be running")
        if not frozen and now != state.PAUSED:
            raise NotPaused(f"cannot resume container {entry.name!r}: it is {now}, and must be paused")
        if not record.cgroup:
            raise SetupFailed("freeze the container", "it has no cgroup")
        files.freeze(record.cgroup, frozen=frozen)
