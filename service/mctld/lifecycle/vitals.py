# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container's checks say about it: decisions alone, as docker makes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..health import HealthCheck

NONE, STARTING, HEALTHY, UNHEALTHY = "none", "starting", "healthy", "unhealthy"


@dataclass(frozen=True, slots=True)
class Result:
    """Of one check. Times in microseconds since the epoch; status as a shell has it, 0 is good."""

    started_usec: int
    ended_usec: int
    status: int
    output: str


@dataclass(frozen=True, slots=True)
class Vitals:
    """failures: in a row, but for those of the start period."""

    health: str = STARTING
    failures: int = 0

    def after(self, check: HealthCheck, *, good: bool, age_usec: int) -> Vitals:
        """age_usec: of the run, when the check began. The start period ends with the first good check."""
        if good:
            return Vitals(HEALTHY)
        if self.health == STARTING and age_usec < check.start_period_usec:
            return self
        failures = self.failures + 1
        return Vitals(UNHEALTHY, failures) if failures >= check.retries else replace(self, failures=failures)
