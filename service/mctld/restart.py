# SPDX-License-Identifier: GPL-3.0-or-later
"""When a container whose run has ended is started again without being asked."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .bounds import check_range, shown
from .errors import InvalidArgs

NO, ON_FAILURE, ALWAYS, UNLESS_STOPPED = "no", "on-failure", "always", "unless-stopped"
POLICIES = (NO, ON_FAILURE, ALWAYS, UNLESS_STOPPED)
RETRIES_MAX = 1_000_000
_TEXT = re.compile(r"([a-z-]+)(?::([0-9]{1,7}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """docker's words. retries: of on-failure, how often since somebody started it; 0 is no bound."""

    policy: str = NO
    retries: int = 0

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise InvalidArgs(f"RestartPolicy {shown(self.policy)} is not known: give one of {', '.join(POLICIES)}")
        if self.retries and self.policy != ON_FAILURE:
            raise InvalidArgs(f"RestartPolicy {self.policy} takes no number: only {ON_FAILURE}:N does")
        check_range("RestartPolicy retries", self.retries, 0, RETRIES_MAX)

    @classmethod
    def parse(cls, text: str) -> RestartPolicy:
        """no, on-failure, on-failure:5, always, unless-stopped."""
        found = _TEXT.fullmatch(text)
        if not found:
            raise InvalidArgs(f"RestartPolicy {shown(text)} is not one of {', '.join(POLICIES)}, or {ON_FAILURE}:N")
        policy, retries = found.groups()
        return cls(policy, int(retries or 0))

    @property
    def starts_at_boot(self) -> bool:
        return self.policy in (ALWAYS, UNLESS_STOPPED)

    def __str__(self) -> str:
        return f"{self.policy}:{self.retries}" if self.retries else self.policy
