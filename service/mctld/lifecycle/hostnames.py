# SPDX-License-Identifier: GPL-3.0-or-later
"""NAME.mctl on the host: systemd-resolved asks the name server of containers, by the bridge that it answers on.

The bridge takes what resolved knows of it along when it goes. So nothing has to be put back.
"""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING

from ..errors import MctlError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..networking import Network
    from ..systemd.resolved import Resolved
    from .tasks import Tasks

DOMAIN = "mctl"

log = logging.getLogger(__name__)


class HostNames:
    def __init__(self, resolved: Resolved, tasks: Tasks, *, wanted: bool) -> None:
        """wanted: else bridges that resolved has been told of are forgotten."""
        self._resolved = resolved
        self._tasks = tasks
        self.wanted = wanted
        self._told: dict[int, Network] = {}  # by the index of its bridge
        self._watches = False

    def offer(self, networks: Iterable[Network]) -> None:
        """On whose bridges the name server answers. Nobody waits for it."""
        fresh = {index: each for each in networks if (index := _index(each)) and index not in self._told}
        if fresh:
            self._told |= fresh
            self._tasks.start(self._tell(fresh), "tell systemd-resolved of names")

    def _appeared(self) -> None:
        self._told = {index: network for index, network in self._told.items() if _index(network) == index}
        if self._told:
            self._tasks.start(self._tell(self._told), "tell systemd-resolved of names anew")

    async def _tell(self, networks: dict[int, Network]) -> None:
        try:
            if not self._watches:
                self._watches = True
                await self._resolved.watch(self._appeared)
            if not await self._resolved.is_there():
                return
            for index, network in networks.items():
                if self.wanted:
                    await self._resolved.ask_there(index, network.gateway, DOMAIN)
                else:
                    await self._resolved.forget(index)
        except MctlError as error:
            log.warning("names of containers are not known on the host: systemd-resolved says %s", error)


def _index(network: Network) -> int:
    """0: there is none."""
    try:
        return socket.if_nametoindex(network.interface)
    except OSError:
        return 0
