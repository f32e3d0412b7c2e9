# SPDX-License-Identifier: GPL-3.0-or-later
"""Freezing is PID 1's to do: so systemctl shows it, and nobody else writes into a cgroup that is PID 1's."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from ..errors import MctlError, NotPaused, NotRunning, Paused
from ..state import State

if TYPE_CHECKING:
    from ..systemd.manager import Manager
    from .standing import Standing

FREEZE_TIMEOUT = 10.0  # seconds: a process that is stuck in the kernel cannot be frozen


def refuse_to_freeze(container: Standing) -> None:
    if container.state is State.PAUSED:
        raise Paused(f"container {container.name!r} is paused already")
    if container.state is not State.RUNNING:
        raise NotRunning(f"container {container.name!r} cannot be paused: it is {container.state.value}")


def refuse_to_thaw(container: Standing) -> None:
    if container.state is not State.PAUSED:
        raise NotPaused(f"container {container.name!r} is not paused: it is {container.state.value}")


def refuse_to_stay_frozen(container: Standing) -> None:
    if container.state is State.PAUSED:
        raise Paused(f"container {container.name!r} stays paused: {container.slice} or a slice above it is frozen")


async def freeze(systemd: Manager, unit: str) -> None:
    """Returns when all of it is frozen; else nothing is."""
    try:
        await asyncio.wait_for(systemd.freeze(unit), FREEZE_TIMEOUT)
    except TimeoutError as error:
        await let_go(systemd, unit)
        raise MctlError(f"{unit} does not freeze: a process of it is stuck in the kernel (state D)") from error


async def let_go(systemd: Manager, unit: str) -> None:
    """Thaw it if that can be. systemd 252 thaws by itself what it is about to stop, and then says that it is busy."""
    with contextlib.suppress(MctlError):
        await systemd.thaw(unit)
