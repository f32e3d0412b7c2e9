# SPDX-License-Identifier: GPL-3.0-or-later
"""The health of one container: a timer, one check at a time, and what follows from its result."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from typing import TYPE_CHECKING

from ..state import State
from . import probe
from .healthlog import HealthLog
from .probe import Probe
from .vitals import STARTING, Vitals

if TYPE_CHECKING:
    from collections.abc import Callable

    from .machinery import Machinery
    from .running import Running
    from .vitals import Result

log = logging.getLogger(__name__)

RESULTS_KEPT = 5  # as docker


class Health:
    """Of a run, from begin() to end(). `judged` is called with each result that counts, and what it makes of it."""

    def __init__(
        self, machinery: Machinery, container: Running, judged: Callable[[Vitals, Result], None]
    ) -> None:
        self.vitals = Vitals()
        self.results: deque[Result] = deque(maxlen=RESULTS_KEPT)
        self._machinery = machinery
        self._container = container
        self._judged = judged
        self._log = HealthLog(machinery.settings.health, container.id)
        self._timer: asyncio.TimerHandle | None = None  # of the next check, or of the one that is under way
        self._probe: Probe | None = None
        self._over = True

    def begin(self, health: str, *, resumed: bool = False) -> None:
        """resumed: it has run before the service was started anew, and this was known of it."""
        if not self._container.spec.health:
            return
        self.vitals, self._over, self._probe = Vitals(health or STARTING), False, None
        self.results.clear()
        if resumed and (known := self._log.read()) and known[0].health == self.vitals.health:
            self.vitals = known[0]
            self.results.extend(known[1])
        self._arm(random.random() if resumed else 1)  # so that not all of them are checked in the same moment

    def end(self) -> None:
        if not self._over:
            self._log.remove()
        self.rest()

    def rest(self) -> None:
        """The service ends, and the run goes on: what is known stays for the next one."""
        self._over = True
        self._disarm()

    def freeze(self) -> None:
        """Neither checks nor their timeouts go on: a check stands still with its container."""
        self._disarm()

    def thaw(self) -> None:
        if not self._over:
            self._arm()

    def _arm(self, part: float = 1) -> None:
        self._disarm()
        check, loop = self._container.spec.health, asyncio.get_running_loop()
        if self._probe:
            self._timer = loop.call_later(check.timeout_usec / 1_000_000, self._probe.expire)
        else:
            self._timer = loop.call_later(part * check.interval_usec / 1_000_000, self._due)

    def _disarm(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = None

    def _due(self) -> None:
        self._probe = Probe(self._container, self._machinery)
        self._arm()
        self._machinery.relays.start(self._check(self._probe), f"check {self._container.name}")

    async def _check(self, begun: Probe) -> None:
        age = time.monotonic_ns() // 1_000 - self._container.started_monotonic_usec
        result: Result | None = None
        try:
            result = await probe.run(begun, self._machinery, self._container)
        except probe.NOT_ITS_FAULT as error:
            log.info("the health of %s cannot be checked: %s", self._container.name, error)
        finally:
            counts = self._counts(begun)
        if result is None or not counts:
            return
        self.results.append(result)
        self.vitals = self.vitals.after(self._container.spec.health, good=result.status == 0, age_usec=age)
        self._log.write(self.vitals, self.results)
        self._judged(self.vitals, result)

    def _counts(self, begun: Probe) -> bool:
        """Whether it says something, and the next one will come: nothing does what a container answers that ends or
        stands still, for which thaw() goes on, nor one of a run before."""
        current = self._probe is begun
        if current:
            self._probe = None
            self._disarm()
        counts = current and not self._over and self._container.state is State.RUNNING
        if counts:
            self._arm()
        return counts
