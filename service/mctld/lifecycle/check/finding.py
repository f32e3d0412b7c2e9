# SPDX-License-Identifier: GPL-3.0-or-later
"""One answer of a check, for people: what was found, what follows from it, what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    OK = "ok"
    WARNING = "warning"  # something optional is missing, or could be better
    MISSING = "missing"  # something that is promised to callers cannot be had here
    UNKNOWN = "unknown"  # it could not be found out


@dataclass(frozen=True, slots=True)
class Finding:
    """`name` is for programs and stays as it is. Nothing here may be a secret: every user may read it."""

    name: str
    verdict: Verdict
    found: str
    meaning: str
    remedy: str = ""
