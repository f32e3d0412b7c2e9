# SPDX-License-Identifier: GPL-3.0-or-later
"""A process by its pidfd, pidfd_open(2)."""

from __future__ import annotations

import select


def await_end(pidfd: int, seconds: float | None) -> bool:
    """Whether the process has ended within that time; a zombie has."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(None if seconds is None else int(seconds * 1000)))
