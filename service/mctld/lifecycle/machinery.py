# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lifecycle works with, made once by the daemon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..runtime.launch import Spawner
    from ..runtime.rootfs import Staging
    from ..runtime.seccomp.filters import Filters
    from ..settings import Settings
    from ..store import Store
    from ..systemd.journal import Retirement
    from ..systemd.manager import Manager
    from .disposal import Disposal
    from .events import Events
    from .images import Images
    from .logs import LogReaders
    from .networks import Networks
    from .restarts import Restarts
    from .tasks import Tasks
    from .volumes import Volumes
    from .watch import Watch


@dataclass(frozen=True, slots=True)
class Machinery:
    settings: Settings
    store: Store
    spawner: Spawner
    staging: Staging
    filters: Filters
    systemd: Manager
    retirement: Retirement
    logs: LogReaders
    disposal: Disposal
    networks: Networks
    watch: Watch
    images: Images
    volumes: Volumes
    events: Events
    tasks: Tasks  # end by themselves
    relays: Tasks  # end with what they serve
    restarts: Restarts
    last_capability: int
    controllers: frozenset[str]
