# SPDX-License-Identifier: GPL-3.0-or-later
"""PID 1 that executes itself anew (`systemctl daemon-reexec`, each update of systemd): for a moment it is not on the
bus, what it has been asked stays unanswered, and signals that it would have sent are never sent.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..errors import MctlError

BUS = "org.freedesktop.DBus"
NO_ANSWER = (f"{BUS}.Error.NoReply", f"{BUS}.Error.ServiceUnknown", f"{BUS}.Error.NameHasNoOwner")
ACTIVATION = f"{BUS}.Error.Spawn."  # the bus has tried to start it: its file on the bus names /bin/false
PATIENCE = 30.0  # seconds; it takes less than one


class Signals(Protocol):
    async def on_signal(
        self, sender: str, interface: str, member: str, callback: Callable[[str, list[Any]], None]
    ) -> None: ...


class Presence:
    """Of the owner of a name on the bus."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._next = asyncio.Event()
        self.returns = 0  # how often it has come back

    async def watch(self, bus: Signals) -> None:
        await bus.on_signal(BUS, BUS, "NameOwnerChanged", self._changed)

    def _changed(self, _path: str, body: list[Any]) -> None:
        name, _, owner = body
        if name == self._name and owner:
            self.returns += 1
            self._next.set()
            self._next = asyncio.Event()

    async def await_return(self, error: MctlError, returns: int) -> None:
        """After a call that has failed with `error`, made when it had come back so often: returns if it is worth making
        it again, and raises the error otherwise."""
        if not _is_absence(error):
            raise error
        if self.returns == returns:
            try:
                await asyncio.wait_for(self._next.wait(), PATIENCE)
            except TimeoutError:
                raise error from None

    async def unless_it_returns(self, result: asyncio.Future[str]) -> bool:
        """Whether the result is there; otherwise it has come back meanwhile."""
        if result.done():
            return True
        back = asyncio.ensure_future(self._next.wait())
        waiting: set[asyncio.Future[Any]] = {result, back}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            back.cancel()
        return result.done()


def _is_absence(error: MctlError) -> bool:
    name = str(getattr(error, "name", ""))
    return name in NO_ANSWER or name.startswith(ACTIVATION)
