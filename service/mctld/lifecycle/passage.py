# SPDX-License-Identifier: GPL-3.0-or-later
"""The host passes packets of containers on, as long as there are some: what somebody switches off is switched on again.

As the firewall's table is made again. It is seldom meant: whoever applies all sysctl settings once more, as packages do
when they are installed, sets what a file says of the time before there were containers.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..network.netconf import Netconf
    from .tasks import Tasks

PAUSE = 5.0  # seconds between two times: who switches it off over and over shall not keep us busy

log = logging.getLogger(__name__)


class Passage:
    def __init__(self, reopen: Callable[[], bool], tasks: Tasks) -> None:
        """reopen: blocking; switches on what is needed, and tells whether it was off."""
        self._reopen = reopen
        self._tasks = tasks
        self._news: Netconf | None = None
        self._mending: asyncio.Task[None] | None = None
        self._unheard = False  # news that came since somebody looked
        self._earliest = 0.0

    def watch(self) -> None:
        if self._news is None:
            from ..network.netconf import Netconf

            self._news = Netconf()
            asyncio.get_running_loop().add_reader(self._news, self._look)

    def close(self) -> None:
        if self._news is not None:
            asyncio.get_running_loop().remove_reader(self._news)
            self._news.close()

    def _look(self) -> None:
        if self._news is None or not self._news.has_closed():
            return
        self._unheard = True
        if self._mending is None or self._mending.done():
            self._mending = self._tasks.start(self._mend(), "switch forwarding on again")

    async def _mend(self) -> None:
        clock = asyncio.get_running_loop().time
        while self._unheard:
            await asyncio.sleep(self._earliest - clock())
            self._earliest = clock() + PAUSE
            self._unheard = False  # once for all that came meanwhile; what comes from here on may be of a later time
            await self._switch_on()

    async def _switch_on(self) -> None:
        try:
            if await asyncio.to_thread(self._reopen):
                log.warning("somebody has switched off forwarding, which containers need: it is on again, mctld(8)")
        except OSError as error:
            log.error("forwarding, which containers need, is switched off and stays so: %s", error.strerror or error)
