# SPDX-License-Identifier: GPL-3.0-or-later
"""A pipe that strangers hold as well. What would take its lock is done by a reader; here it is only waited for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from typing import TYPE_CHECKING

from ..runtime.reader import ANSWER, DEMAND, END, LOOK_MAX, NOTHING
from .readiness import readable

if TYPE_CHECKING:
    from .crew import Crew

PATIENCE = 2.0  # seconds for an answer: a reader takes less than one thousandth of that unless it is stuck
ROOM = 4 * LOOK_MAX  # of its socket, which brings an answer as one message
SO_SNDBUFFORCE = 32  # asm-generic/socket.h: more than wmem_max, for root
NUMBERS = 1 << 32

log = logging.getLogger(__name__)


class Held:
    """Owns the descriptor, of which nothing but poll(2) may be asked. what: for people."""

    def __init__(self, crew: Crew, descriptor: int, what: str) -> None:
        self.descriptor = descriptor
        self.what = what
        self.is_over = False  # closed, and a reader has it: ours was not the last
        self._crew = crew
        self._wire, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self._wire, self.theirs):
            end.settimeout(0)
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, ROOM)
        self._handed = self._closed = self._told = False
        self._number = 0
        self._taking: int | None = None  # how much, while there is no answer
        self._asked = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def look(self) -> bytes:
        """What comes next, empty at the end; it stays in the pipe. BlockingIOError where there is nothing."""
        if self._taking is None:
            self._ask(0)
        outcome, found = await self._answer()
        if outcome == NOTHING:
            raise BlockingIOError
        if outcome > 0:
            raise OSError(outcome, f"{self.what}: {os.strerror(outcome)}")
        return b"" if outcome == END else found

    async def take(self, size: int) -> None:
        """So much is to be out. That is under way when it returns, and what comes then is looked at."""
        while self._taking is not None:  # it was looked at too early
            await self._answer()
        self._ask(size)

    def close(self) -> None:
        """What has been asked for is still done."""
        self._closed = True
        self._rest()
        self._wire.close()
        if self._handed:
            self._finish()

    def has_been_handed(self) -> None:
        self._handed = True
        if self._closed and not self.is_over:
            self._finish()

    def is_late(self, now: float) -> bool:
        return self._taking is not None and now - self._asked > PATIENCE

    def tell(self) -> None:
        """It is stuck."""
        if not self._told:
            log.warning("%s is not read while somebody who has the pipe too keeps all others from it", self.what)
        self._told = True

    def ask_again(self) -> None:
        """A reader has ended, perhaps with the demand: then it is taken for done."""
        if self._taking is None or self._closed:
            return
        with contextlib.suppress(BlockingIOError):
            self.theirs.recv(DEMAND.size)
            self._ask(self._taking)
            return
        self._ask(0)

    def _finish(self) -> None:
        self.is_over = True
        os.close(self.descriptor)
        self.theirs.close()
        self._crew.release(self)

    def _ask(self, taken: int) -> None:
        self._number = (self._number + 1) % NUMBERS
        self._taking, self._asked = taken, asyncio.get_running_loop().time()
        self._wire.send(DEMAND.pack(self._number, taken, LOOK_MAX))

    async def _answer(self) -> tuple[int, bytes]:
        while True:
            try:
                message = self._wire.recv(ANSWER.size + LOOK_MAX)
            except BlockingIOError:
                await self._readable()
                continue
            number, outcome = ANSWER.unpack_from(message)
            if number == self._number:  # else to a demand that was taken for lost
                self._taking = None
                if self._told:
                    log.info("%s is read again", self.what)
                self._told = False
                return outcome, message[ANSWER.size :]

    async def _readable(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._late)
        try:
            await readable(self._wire.fileno())
        finally:
            self._rest()

    def _late(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._late)
        self._crew.late()

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
