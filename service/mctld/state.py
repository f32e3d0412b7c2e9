# SPDX-License-Identifier: GPL-3.0-or-later
"""The states of a container and what each allows."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Published on the bus by value."""

    CREATED = "created"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    EXITED = "exited"
    RESTARTING = "restarting"  # nothing runs: it waits for its next start
    UNREADABLE = "unreadable"  # and does not run: what is stored of it makes no sense

    @property
    def can_start(self) -> bool:
        return self in (State.CREATED, State.EXITED, State.RESTARTING)

    @property
    def can_be_signalled(self) -> bool:
        return self in (State.RUNNING, State.PAUSED, State.STOPPING)

    @property
    def can_remove(self) -> bool:
        return self in (State.CREATED, State.EXITED, State.RESTARTING, State.UNREADABLE)

    @property
    def is_active(self) -> bool:
        """A process of the container exists or is about to."""
        return self in (State.STARTING, State.RUNNING, State.PAUSED, State.STOPPING)
