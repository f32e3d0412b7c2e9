# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that outlives a build which is killed, and then removes the container of its last step, and its files."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from ..client import Client
from ..failures import Failure

if TYPE_CHECKING:
    from .room import Room
    from .service import Service

DONE = b"."
TRIES = 20  # the service may still be making it
PAUSE = 0.5  # seconds between them


class Guardian:
    """Begun before there is a thread or a connection to the bus."""

    def __init__(self, service: Service, room: Room) -> None:
        self._service = service
        self._room = room
        reading, self._writing = os.pipe2(os.O_CLOEXEC)
        self._pid = os.fork()
        if not self._pid:
            os.close(self._writing)
            try:
                self._wait(reading)
            finally:
                os._exit(0)
        os.close(reading)

    def dismiss(self) -> None:
        """The build has cleared away by itself."""
        with suppress(BrokenPipeError):
            os.write(self._writing, DONE)
        os.close(self._writing)
        os.waitpid(self._pid, 0)

    def _wait(self, reading: int) -> None:
        os.setsid()  # what ends the terminal's processes shall not end this one
        nowhere = os.open("/dev/null", os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        if os.read(reading, 1) == DONE:
            return
        self._room.clear()
        self._service.reconnect(Client(ask_password=False))
        for _ in range(TRIES):
            with suppress(Failure):
                if self._service.remove():
                    return
            time.sleep(PAUSE)
