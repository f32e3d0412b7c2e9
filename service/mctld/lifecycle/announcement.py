# SPDX-License-Identifier: GPL-3.0-or-later
"""What a payload says of itself, sd_notify(3), and what of it PID 1 shall hear."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

STATUS_MAX = 256  # characters
_PASSED = frozenset({"READY=1", "STOPPING=1", "RELOADING=1", "WATCHDOG=1", "WATCHDOG=trigger"})
_EXTEND = "EXTEND_TIMEOUT_USEC="
_NUMBER = re.compile(r"(EXTEND_TIMEOUT_USEC|MONOTONIC_USEC)=[0-9]{1,20}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Announcement:
    """status: None where nothing was said of it. passed: for PID 1, about the container's first process.

    Nobody inside can name another main process (MAINPID), keep descriptors with PID 1 (FDSTORE) or change who is heard
    (NOTIFYACCESS) and how long the watchdog waits (WATCHDOG_USEC): whatever is not known is left out.
    """

    ready: bool
    status: str | None
    passed: tuple[str, ...]


def parse(message: bytes) -> Announcement:
    lines = message.rstrip(b"\0\n").decode("utf-8", "replace").split("\n")
    said = [line.removeprefix("STATUS=") for line in lines if line.startswith("STATUS=")]
    status = _shown(said[-1]) if said else None
    passed = [line for line in lines if line in _PASSED or _NUMBER.fullmatch(line)]
    passed += [f"STATUS={status}"] if status is not None else []
    return Announcement("READY=1" in lines, status, tuple(passed))


class Extension:
    """How much longer PID 1 may be asked to wait: in all no more than `most_usec`, and anew after a pause as long,
    so that who asks again and again does not hold up a shutdown for ever.
    """

    def __init__(self) -> None:
        self._begun_usec: int | None = None

    def bound(self, said: Announcement, most_usec: int, now_usec: int) -> Announcement:
        lines = (self._line(line, most_usec, now_usec) if line.startswith(_EXTEND) else line for line in said.passed)
        return replace(said, passed=tuple(line for line in lines if line))

    def _line(self, line: str, most_usec: int, now_usec: int) -> str:
        if self._begun_usec is None or now_usec >= self._begun_usec + 2 * most_usec:
            self._begun_usec = now_usec
        left = max(self._begun_usec + most_usec - now_usec, 0)
        return f"{_EXTEND}{min(int(line.removeprefix(_EXTEND)), left)}" if left else ""


def _shown(text: str) -> str:
    """It ends up on terminals: of what controls them nothing is left."""
    return "".join(c if c.isprintable() else "?" for c in text[:STATUS_MAX])
