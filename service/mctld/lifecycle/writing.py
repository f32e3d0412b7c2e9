# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive on its way out, by a thread of its own: whoever reads it, however slowly, and wherever that ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from ..errors import BadImage, StoreFailed
from ..images.refusal import Refusal
from .alone import alone

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..images.sink import Sink

T = TypeVar("T")


async def written(sink: Sink, work: Callable[[Callable[[bytes], None]], T], what: str) -> T:
    """What `work` makes of a function that takes bytes; `what` could not be done where it fails. The thread has ended
    when this returns, and the sink is closed.
    """
    task = asyncio.ensure_future(alone(lambda: work(sink.write), "archive"))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        sink.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # nobody else looks at it, and asyncio would complain
        raise
    except Refusal as error:
        raise BadImage(str(error)) from error
    except OSError as error:
        raise StoreFailed(f"{what}: {error.strerror}") from error
    finally:
        sink.close()
