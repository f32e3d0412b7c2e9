# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals by name or number: KILL, SIGKILL, 9, RTMIN+3."""

from __future__ import annotations

import signal

from ..bounds import shown
from ..errors import InvalidArgs


def parse(text: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) < 4:
        number = int(text)
    else:
        name, plus, offset = text.upper().removeprefix("SIG").partition("+")
        found = getattr(signal, f"SIG{name}", None) if name.isalnum() else None
        if not isinstance(found, int) or (plus and (name != "RTMIN" or not offset.isdecimal())):
            raise InvalidArgs(f"{shown(text)} is not a signal")
        number = int(found) + int(offset or 0)
    if not 1 <= number <= signal.SIGRTMAX:
        raise InvalidArgs(f"signal {shown(text)} must be 1 to {int(signal.SIGRTMAX)}")
    return number
