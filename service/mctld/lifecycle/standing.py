# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container is and where it stands: what its store record and its run say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import NoSuchContainer, NotRunning, Unreadable
from ..state import State
from ..systemd import scope, service
from .events import Exit
from .place import in_scope

if TYPE_CHECKING:
    from ..spec import Spec
    from ..store import Record, Run


class Standing:
    """Read by everybody, changed by Container alone."""

    def __init__(self, record: Record, run: Run) -> None:
        self.record = record
        self._run = run
        self._gone = False
        self.place = in_scope(record)  # of the current run or the last

    # What it is

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def name(self) -> str:
        return self.record.spec.name

    @property
    def spec(self) -> Spec:
        return self.record.spec

    @property
    def owner_uid(self) -> int:
        return self.record.owner_uid

    @property
    def uid_shift(self) -> int:
        return self.record.uid_shift

    @property
    def created_usec(self) -> int:
        return self.record.created_usec

    @property
    def unit(self) -> str:
        return self.place.unit

    @property
    def slice(self) -> str:
        return scope.slice_name(self.owner_uid)

    # Where it stands

    @property
    def state(self) -> State:
        return State.UNREADABLE if self.record.fault and not self._run.state.is_active else self._run.state

    @property
    def main_pid(self) -> int:
        return self._run.main_pid

    @property
    def control_group(self) -> str:
        return self.place.control_group if self._run.main_pid else ""

    @property
    def enabled(self) -> bool:
        """Whether it starts at boot."""
        return service.is_enabled(self.name)

    @property
    def started_usec(self) -> int:
        return self._run.started_usec

    @property
    def started_monotonic_usec(self) -> int:
        return self._run.started_monotonic_usec

    @property
    def exited_usec(self) -> int:
        return self._run.exited_usec

    @property
    def exited_monotonic_usec(self) -> int:
        return self._run.exited_monotonic_usec

    @property
    def end(self) -> Exit | None:
        return Exit(self._run.how, self._run.status) if self._run.how else None

    @property
    def restarts(self) -> int:
        """Since somebody started it."""
        return self._run.restarts

    @property
    def next_start_usec(self) -> int:
        return self._run.next_start_usec

    def _first_warnings(self) -> tuple[str, ...]:
        return (f"What is stored of it cannot be read: {self.record.fault}",) if self.record.fault else ()

    # What it refuses

    def _refuse_if_gone(self) -> None:
        if self._gone:
            raise NoSuchContainer(f"container {self.name!r} has been removed")

    def _refuse_if_unreadable(self) -> None:
        if self.record.fault:
            raise Unreadable(
                f"what is stored of container {self.name!r} cannot be read ({self.record.fault}): "
                "it can be stopped and removed, and nothing else"
            )

    def _refuse_if_not_running(self) -> None:
        if not self.state.can_be_signalled:
            raise NotRunning(f"container {self.name!r} is not running: it is {self.state.value}")
