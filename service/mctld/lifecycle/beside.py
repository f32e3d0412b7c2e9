# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes on beside something else, which neither waits for it nor fails with it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from .reading import to_the_end

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine


@contextlib.asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """For as long as the block lasts: with that it is cancelled, and nothing of it is left. An error is logged."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await to_the_end(_over(task))


async def _over(task: asyncio.Future[None]) -> None:
    await asyncio.wait([task])
