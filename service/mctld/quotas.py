# SPDX-License-Identifier: GPL-3.0-or-later
"""mctld.conf(5): how much one user may ask of the service. root is bound by none of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from . import journal_settings
from .bounds import INFINITY as NO_END
from .conf import DROP_INS, FILE, LIMITS, NETWORK, lines
from .errors import LimitReached

INFINITY = "infinity"
VALUE_MAX = 1_000_000
ROOT_UID = 0
SECOND = 1_000_000  # microseconds
DEFAULT_STOP_USEC = 10 * SECOND  # of a container's spec


@dataclass(frozen=True, slots=True)
class Quotas:
    """None: no bound."""

    containers: int | None = 1_024  # that one user may own
    calls: int | None = 200  # a second, of all connections of a user; ten times as many at once
    execs: int | None = 256  # commands that a user has executed in containers, at a time
    images: int | None = 1_024
    image_gib: int | None = 64  # of all layers of a user's images, each counted once
    volumes: int | None = 1_024
    ports: int | None = 4_096  # of the host, published by a user's containers at a time
    stop_timeout: int | None = 600  # seconds: a shutdown of the host waits for whoever is slowest

    def patience(self, asked_usec: int, uid: int) -> int:
        """In how many of the microseconds asked for a container of the user's may stop."""
        if self.stop_timeout is None or uid == ROOT_UID:
            return asked_usec
        return min(asked_usec, self.stop_timeout * SECOND)

    def check_stop_timeout(self, asked_usec: int, uid: int) -> None:
        """Raises LimitReached. What nobody has asked for is only cut short."""
        if asked_usec > max(self.patience(asked_usec, uid), DEFAULT_STOP_USEC):
            asked = "for ever" if asked_usec == NO_END else f"{asked_usec / SECOND:.12g} s"
            raise LimitReached(
                f"TimeoutStopUSec: a container of user {uid} may take {self.stop_timeout} s to stop"
                f" (StopTimeoutMax= in mctld.conf(5)), not {asked}: a shutdown of the host would wait for it"
            )


DEFAULTS = Quotas()
FIELDS = {
    "ContainersPerOwner": "containers", "CallsPerSecond": "calls", "ExecsPerUser": "execs", "ImagesPerOwner": "images",
    "ImageGiBPerOwner": "image_gib", "VolumesPerOwner": "volumes", "PortsPerOwner": "ports",
    "StopTimeoutMax": "stop_timeout",
}  # fmt: skip


def read(file: str = FILE, drop_ins: str = DROP_INS) -> Quotas:
    """What makes no sense is told and left out."""
    quotas = DEFAULTS
    for line in lines(file, drop_ins):
        if line.section == NETWORK or journal_settings.is_mine(line.section):
            continue
        if line.section != LIMITS or line.key not in FIELDS:
            line.ignored(f"{LIMITS} has {', '.join(f'{each}=' for each in FIELDS)}")
            continue
        try:
            quotas = replace(quotas, **{FIELDS[line.key]: bound(line.value)})
        except ValueError:
            line.ignored(f"it must be 1 to {VALUE_MAX}, or {INFINITY}")
    return quotas


def bound(text: str) -> int | None:
    """Raises ValueError."""
    if text == INFINITY:
        return None
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:20]) <= VALUE_MAX:
        raise ValueError(text)
    return int(text)
