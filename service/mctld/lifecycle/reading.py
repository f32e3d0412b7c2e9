# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read in a thread, to its end, and what is told where it fails."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from ..errors import BadImage, StoreFailed
from ..images.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

T = TypeVar("T")


async def read(work: Callable[[], T], undo: Callable[[T], None] = lambda _: None) -> T:
    """In a thread, to its end: the shelf stays open as long. `undo` is for what comes when nobody waits any more."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    with told("the archive"):
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            if task.exception() is None:
                undo(task.result())
            raise


@contextmanager
def told(what: str) -> Iterator[None]:
    """Why `what` could not be read."""
    try:
        yield
    except Refusal as error:
        raise BadImage(str(error)) from error
    except OSError as error:
        raise StoreFailed(f"{what} could not be read: {error.strerror}") from error


async def to_the_end(work: Awaitable[None]) -> None:
    """A thread cannot be stopped: who is cancelled meanwhile waits for it."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
