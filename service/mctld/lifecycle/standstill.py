# SPDX-License-Identifier: GPL-3.0-or-later
"""A container that stands still while its files are read, as if it were one moment."""

from __future__ import annotations

import asyncio
import contextlib
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ..disk import told
from ..errors import MctlError, NotRunning, StoreFailed
from ..state import State
from . import freezer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from .container import Container
    from .machinery import Machinery

MARK = "standstill"  # beside the container's upper directory: whoever finds it lets the container go on
BETWEEN = (State.STARTING, State.STOPPING)


@asynccontextmanager
async def standstill(machinery: Machinery, container: Container, *, pause: bool) -> AsyncIterator[None]:
    """Frozen, unless it does not run or is paused already. Raises at the end if it has moved all the same."""
    if container.state in BETWEEN:
        raise NotRunning(f"container {container.name!r} is {container.state.value}: wait until that has ended")
    freezes = pause and container.state is State.RUNNING
    mark = _mark(machinery, container)
    if freezes:
        _leave(mark)
        try:
            await container.freeze()
        except BaseException:
            os.unlink(mark)
            raise
    before = _standing(container)
    try:
        yield
        if pause and _standing(container) != before:
            raise MctlError(f"container {container.name!r} was started, ended or went on meanwhile: try again")
    finally:
        if freezes:
            await _goes_on(machinery, container)
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                os.unlink(mark)


async def end_all(machinery: Machinery, containers: Iterable[Container]) -> None:
    """After a start of the service: those that an earlier one has left frozen go on."""
    for container in containers:
        mark = _mark(machinery, container)
        if not _is_there(mark):
            continue
        if container.state.is_active:
            await freezer.let_go(machinery.systemd, container.unit)
        with contextlib.suppress(OSError):  # on a read-only disk it stays
            os.unlink(mark)


def _leave(mark: str) -> None:
    try:
        os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        why = told(error, os.path.dirname(mark))
        raise StoreFailed(f"the container could not be paused meanwhile: {why}; or ask not to pause it") from error


def _is_there(mark: str) -> bool:
    return os.path.exists(mark)


async def _goes_on(machinery: Machinery, container: Container) -> None:
    """Also where who asked has gone meanwhile."""

    async def thaw() -> None:
        with contextlib.suppress(MctlError):  # somebody has let it go, or ended it, already
            await container.thaw()

    task = machinery.tasks.start(thaw(), f"thaw {container.name}")
    await asyncio.wait([task])


def _standing(container: Container) -> tuple[State, int, int]:
    return container.state, container.started_usec, container.exited_usec


def _mark(machinery: Machinery, container: Container) -> str:
    return f"{machinery.settings.containers}/{container.id}/{MARK}"
