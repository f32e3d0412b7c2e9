# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals by name or number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .failures import UsageError

if TYPE_CHECKING:
    import signal
else:
    import _signal as signal  # what signal is made of, without the enumerations that take 6 ms to be made

HIGHEST = 64


def number(flag: str, text: str) -> int:
    """15 for `15`, `TERM`, `SIGTERM`, `sigterm`; also `RTMIN+3` and `RTMAX-1`."""
    if text.isascii() and text.isdigit() and len(text) <= 3:
        value = int(text)
    else:
        value = by_name(text.upper().removeprefix("SIG"))
    if not 1 <= value <= HIGHEST:
        raise UsageError(f"{flag} {text!r} is not a signal: give a name as TERM or a number from 1 to {HIGHEST}")
    return value


def by_name(name: str) -> int:
    """The number, 0 if there is none of that name."""
    for base, sign in (("RTMIN", "+"), ("RTMAX", "-")):
        rest = name.removeprefix(base + sign)
        if rest != name and rest.isascii() and rest.isdigit() and len(rest) <= 2:
            steps = int(rest)
            value = signal.SIGRTMIN + steps if sign == "+" else signal.SIGRTMAX - steps
            return value if signal.SIGRTMIN <= value <= signal.SIGRTMAX else 0
    found: int = 0 if name.startswith("_") else getattr(signal, f"SIG{name}", 0)  # SIG_DFL and others are none
    return int(found)
