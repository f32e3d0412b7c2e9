# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container needs that boots an operating system, https://systemd.io/CONTAINER_INTERFACE."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING
from uuid import UUID

from .mounts import Tmpfs, plain

if TYPE_CHECKING:
    from collections.abc import Iterable

STOP_SIGNAL = int(signal.SIGRTMIN) + 3  # systemd(1): halt.target
# Its PID 1 would mount them itself, which takes CAP_SYS_ADMIN. Programs are run from /tmp, and from /run by some units.
VOLATILE = (
    Tmpfs("/run", mode=0o755, executable=True),
    Tmpfs("/run/lock", size=5 << 20),
    Tmpfs("/tmp", size=256 << 20, executable=True),
)


def volatile(taken: Iterable[str]) -> tuple[Tmpfs, ...]:
    """Where nothing else was asked for."""
    others = {plain(path) for path in taken}
    return tuple(tmpfs for tmpfs in VOLATILE if tmpfs.target not in others)


def environment(identity: str) -> dict[str, str]:
    """For its PID 1. The id becomes the machine's, machine-id(5), where its files have none yet."""
    return {"container_uuid": str(UUID(identity))}
