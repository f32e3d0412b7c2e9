# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that tells whether a container that runs also works."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .bounds import check_range, check_text, shown
from .errors import InvalidArgs

if TYPE_CHECKING:
    from collections.abc import Mapping

ACTIONS = ("none", "kill", "restart", "stop")
COMMAND_MAX = 128 << 10  # bytes in all
LEAST_USEC = 1_000  # docker's bound too
LEAST_INTERVAL_USEC = 100_000  # each check is a process that the service makes
MOST_USEC = 30 * 86_400 * 1_000_000
DEFAULT_USEC = 30_000_000
DEFAULT_RETRIES = 3


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """The defaults are docker's. Without a command there is no check. on_failure: what unhealthy brings about."""

    command: tuple[str, ...] = ()
    interval_usec: int = DEFAULT_USEC
    timeout_usec: int = DEFAULT_USEC
    retries: int = DEFAULT_RETRIES
    start_period_usec: int = 0
    on_failure: str = "none"

    def __post_init__(self) -> None:
        for argument in self.command:
            check_text("HealthCommand", argument, COMMAND_MAX)
        if sum(len(os.fsencode(argument)) + 1 for argument in self.command) > COMMAND_MAX:
            raise InvalidArgs(f"HealthCommand is longer than {COMMAND_MAX} bytes in all")
        if self.command and not self.command[0]:
            raise InvalidArgs("HealthCommand names no program: its first word is empty")
        check_range("HealthIntervalUSec", self.interval_usec, LEAST_INTERVAL_USEC, MOST_USEC)
        check_range("HealthTimeoutUSec", self.timeout_usec, LEAST_USEC, MOST_USEC)
        check_range("HealthRetries", self.retries, 1, 10_000)
        check_range("HealthStartPeriodUSec", self.start_period_usec, 0, MOST_USEC)
        if self.on_failure not in ACTIONS:
            raise InvalidArgs(f"HealthOnFailure {shown(self.on_failure)} is not known: give {', '.join(ACTIONS)}")

    def __bool__(self) -> bool:
        return bool(self.command)


def restored(found: Mapping[str, Any]) -> HealthCheck:
    """From what dataclasses.asdict() and JSON have made of one."""
    return HealthCheck(**{**found, "command": tuple(found.get("command", ()))})
