# SPDX-License-Identifier: GPL-3.0-or-later
"""Points in time as people type them."""

from __future__ import annotations

import time
from datetime import datetime

from .failures import UsageError
from .sizes import is_decimal

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_HOW = "give 90s, 5m, 2h, 3d (ago), 2024-05-01, '2024-05-01 12:00:00', 2024-05-01T12:00:00Z, or seconds since the epoch"


def moment(flag: str, text: str) -> int:
    """Microseconds since the epoch. Without a zone it is local time."""
    found = ago(text)
    if found is None:
        found = since_epoch(text)
    if found is None:
        found = calendar(text)
    if found is None or not 0 <= found < 2**63:
        raise UsageError(f"{flag} {text!r} is not a time: {_HOW}")
    return found


def ago(text: str) -> int | None:
    """`1h30m` before now, also with a leading minus or a trailing `ago`."""
    rest = text.strip().removeprefix("-").removesuffix("ago").strip().replace(" ", "")
    total = 0.0
    if not rest or rest[-1].isdigit():
        return None
    while rest:
        number = leading(rest, "0123456789.")
        unit = leading(rest[len(number) :], "abcdefghijklmnopqrstuvwxyz")
        if not is_decimal(number) or unit not in _UNITS:
            return None
        total += float(number) * _UNITS[unit]
        rest = rest[len(number) + len(unit) :].lstrip()
    return int((time.time() - total) * 1_000_000)


def leading(text: str, allowed: str) -> str:
    return text[: len(text) - len(text.lstrip(allowed))]


def since_epoch(text: str) -> int | None:
    number = text.removeprefix("@")
    return int(float(number) * 1_000_000) if is_decimal(number) and (len(number) > 8 or text[0] == "@") else None


def calendar(text: str) -> int | None:
    if text in ("now", "today", "yesterday"):
        now = datetime.now().astimezone()
        start = now if text == "now" else now.replace(hour=0, minute=0, second=0, microsecond=0)
        return int(start.timestamp() * 1_000_000) - (86400 * 1_000_000 if text == "yesterday" else 0)
    try:
        return int(datetime.fromisoformat(text).astimezone().timestamp() * 1_000_000)
    except (ValueError, OverflowError):
        return None
