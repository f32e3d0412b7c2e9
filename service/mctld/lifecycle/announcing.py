# SPDX-License-Identifier: GPL-3.0-or-later
"""A container of which it is known when it is ready: because it says so, sd_notify(3), or because its health does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from ..bounds import INFINITY
from ..security import ID_RANGE
from ..spec import BY_HEALTH, BY_ITSELF
from ..systemd import notify
from . import announcements
from .announcement import Announcement, Extension
from .announcements import Announcements
from .place import control_group_of
from .serviced import Serviced
from .vitals import HEALTHY

if TYPE_CHECKING:
    import socket

    from ..store import Record, Run
    from .machinery import Machinery
    from .vitals import Result, Vitals

log = logging.getLogger(__name__)


class Announcing(Serviced):
    def __init__(self, record: Record, run: Run, machinery: Machinery) -> None:
        super().__init__(record, run, machinery)
        self.kept = machinery.keeping.of(record.owner_uid, record.id)
        self._turned = asyncio.Event()  # ready, or not running
        self._announcements: Announcements | None = None
        self._to_tell: list[str] = []
        self._extension = Extension()

    @property
    def ready(self) -> bool:
        return bool(self._run.ready) and self.state.can_be_signalled

    @property
    def status_text(self) -> str:
        """Its own words, in one line."""
        return self._run.status_text if self.state.can_be_signalled else ""

    async def wait_ready(self) -> bool:
        """Whether it has become ready before its end."""
        await self._turned.wait()
        return self.ready

    @property
    def _is_ready_by_execution(self) -> bool:
        return self.spec.sd_notify not in (BY_ITSELF, BY_HEALTH)

    def hear(self, channel: socket.socket) -> None:
        """PID 1 keeps it too: what is said while there is no service is heard by the next one."""
        self.kept.keep(announcements.KEPT, channel.fileno())
        self._announcements = Announcements(channel, self._is_inside, self._heed)

    async def stop_hearing(self) -> None:
        """The service is being stopped, and PID 1 lets go of what it keeps for it: nobody will pass on signs of life.

        So PID 1 shall not wait for any: WATCHDOG_USEC=0, service_override_watchdog_timeout() of systemd 252 and 257.
        """
        if self._announcements is None or not self.place.is_service:
            return
        self._announcements.look()
        with contextlib.suppress(OSError):  # it has just ended
            await notify.speak_for(self.main_pid, "WATCHDOG_USEC=0")

    def warn_if_unheard(self) -> None:
        """After a restart of the service."""
        if self._announcements is None and self.spec.sd_notify == BY_ITSELF and self.state.is_active:
            why = "mctld was stopped meanwhile"
            log.warning("What container %s says of itself is not heard before its next start: %s", self.name, why)

    def _hear_no_more(self) -> None:
        """After its last words."""
        if self._announcements is not None:
            self._announcements.look()
            self._announcements.close()
            self._announcements = None
            self.kept.drop(announcements.KEPT)

    def _is_inside(self, pid: int, uid: int) -> bool:
        """A process that is gone already is known by its user, whom nobody else has."""
        if group := control_group_of(pid):
            return f"{group}/".startswith(f"{self.place.control_group}/")
        return self.spec.security.has_user_namespace and self.uid_shift <= uid < self.uid_shift + ID_RANGE

    def _heed(self, said: Announcement) -> None:
        ready = said.ready and self.spec.sd_notify == BY_ITSELF
        text = self._run.status_text if said.status is None else said.status
        self._note(replace(self._run, ready=bool(self._run.ready) or ready, status_text=text))
        if self.place.is_service and (passed := self._allowed(said)):
            if not self._to_tell:
                self._machinery.tasks.start(self._pass_on(), f"tell PID 1 about {self.name}")
            self._to_tell.append("\n".join(passed))

    def _allowed(self, said: Announcement) -> tuple[str, ...]:
        most = self._machinery.settings.quotas.patience(INFINITY, self.owner_uid)
        if most == INFINITY:
            return said.passed
        return self._extension.bound(said, most, time.monotonic_ns() // 1_000).passed

    async def _pass_on(self) -> None:
        """In the order in which it was said."""
        while self._to_tell:
            with contextlib.suppress(OSError):  # it has just ended
                await notify.speak_for(self.main_pid, self._to_tell[0])
            del self._to_tell[0]

    def _judge(self, vitals: Vitals, result: Result) -> None:
        super()._judge(vitals, result)
        if vitals.health == HEALTHY and self.spec.sd_notify == BY_HEALTH:
            self._note(replace(self._run, ready=True))

    def _note(self, run: Run) -> None:
        if run != self._run:
            self._must_become(run, "Ready", "StatusText")
        self._look_whether_turned()

    def _look_whether_turned(self) -> None:
        (self._turned.clear if self.state.is_active and not self._run.ready else self._turned.set)()
