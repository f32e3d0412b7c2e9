# SPDX-License-Identifier: GPL-3.0-or-later
"""A container that can be a service of the host: mctl@NAME.service starts it, at boot or whenever PID 1 is asked to."""

from __future__ import annotations

from abc import abstractmethod

from ..errors import AlreadyRunning
from ..runtime.planner import NO_WINDOW
from . import bootunit, supervise
from .supervised import Supervised


class Serviced(Supervised):
    @abstractmethod
    async def _concluded(self) -> None:
        """Returns at once, but for a run that has ended and is about to be concluded."""

    async def start_in_unit(self) -> None:
        """For PID 1, which is starting the unit and waits for this to return."""
        async with self._lock.change:  # whoever has the precedence may wait for PID 1
            self._refuse_if_gone()
            self._refuse_if_unreadable()
            await self._concluded()
            if not self.state.can_start:
                raise AlreadyRunning(f"container {self.name!r} is {self.state.value} already, in {self.unit}")
            place = await bootunit.prepare(self._machinery, self.record)
            with supervise.telling_of_failure(self):
                async with bootunit.patience(place.launcher, bootunit.START_USEC):
                    await self._start_anew(place, None, NO_WINDOW, attach=False)

    async def enable(self) -> None:
        """From the next boot on."""
        async with self._lock:
            self._refuse_if_gone()
            self._refuse_if_unreadable()
            await bootunit.enable(self._machinery, self.record)
            self._tell("Enabled")

    async def disable(self) -> None:
        async with self._lock:
            self._refuse_if_gone()
            await bootunit.disable(self._machinery, self.name, keep=self.place.is_service and self.state.is_active)
            self._tell("Enabled")
