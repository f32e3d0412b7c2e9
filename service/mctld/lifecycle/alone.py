# SPDX-License-Identifier: GPL-3.0-or-later
"""A thread for one piece of work alone.

asyncio's own threads are few, and every start needs one: what somebody else may hold up, as the reader of an archive,
must not sit in them. And a thread that enters another namespace must not be used for anything else.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


async def alone(work: Callable[[], T], name: str) -> T:
    """What it returns or raises. Who is cancelled meanwhile does not end it: it goes on by itself."""
    return await elsewhere(work, lambda run: threading.Thread(target=run, name=name, daemon=True).start())


async def elsewhere(work: Callable[[], T], begin: Callable[[Callable[[], None]], None]) -> T:
    """As alone(), in the thread in which `begin` calls what it is given."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(outcome: Callable[[], None]) -> None:
        if not done.cancelled():
            outcome()

    def run() -> None:
        try:
            made = work()
        except BaseException as error:  # whatever it is, the one who waits has to learn of it
            failure = error
            loop.call_soon_threadsafe(settle, lambda: done.set_exception(failure))
        else:
            loop.call_soon_threadsafe(settle, lambda: done.set_result(made))

    begin(run)
    return await done
