# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel tells of a run's cgroup. Later is too late: PID 1 removes a cgroup as soon as it is empty."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..runtime.cgroup import HIERARCHY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .watch import Watch


class Observation:
    """Who was killed for memory, and whether the processes are frozen (Linux cgroup-v2.rst)."""

    def __init__(self, watch: Watch, control_group: str) -> None:
        """Without a memory controller, or where the cgroup is gone already, there is nothing to be told."""
        self.kills = 0
        self.frozen = False
        self._watch = watch
        self._frozen_changed: Callable[[], None] = lambda: None
        self._files: dict[str, int] = {}
        for name, tell in (("memory.events", self._count), ("cgroup.events", self._note_frozen)):
            self._open(f"{HIERARCHY}{control_group}/{name}", name, tell)

    def _open(self, path: str, name: str, tell: Callable[[Mapping[str, int]], None]) -> None:
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return
        try:
            self._watch.add(file, tell)
        except OSError:
            os.close(file)
            self.close()
            raise
        self._files[name] = file

    def on_frozen(self, changed: Callable[[], None]) -> None:
        """Calls `changed` now and whenever `frozen` becomes another, whoever freezes and thaws."""
        self._frozen_changed = changed
        changed()

    def look(self) -> None:
        """Now, instead of when the event loop comes to it."""
        if "cgroup.events" in self._files:
            self._watch.read(self._files["cgroup.events"])

    def close(self) -> None:
        self._frozen_changed = lambda: None
        for file in self._files.values():
            self._watch.remove(file)
            os.close(file)
        self._files = {}

    def _count(self, numbers: Mapping[str, int]) -> None:
        self.kills = numbers.get("oom_kill", 0)

    def _note_frozen(self, numbers: Mapping[str, int]) -> None:
        frozen = bool(numbers.get("frozen", 0))
        if frozen != self.frozen:
            self.frozen = frozen
            self._frozen_changed()
