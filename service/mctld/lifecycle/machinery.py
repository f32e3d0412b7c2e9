# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lifecycle works with, made once by the daemon."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..runtime.migration import Migration
from .keeping import Keeping
from .lanes import LOOKS, Lanes
from .watch import Watch

if TYPE_CHECKING:
    from ..runtime.rootfs import Staging
    from ..runtime.seccomp.filters import Filters
    from ..settings import Settings
    from ..store import Store
    from ..systemd.journal import Retirement
    from ..systemd.machined import Machined
    from ..systemd.manager import Manager
    from .disposal import Disposal
    from .events import Events
    from .images import Images
    from .journals import Journals
    from .logs import LogReaders
    from .networks import Networks
    from .readers import Readers
    from .restarts import Restarts
    from .sharing import Sharing
    from .spawners import Spawners
    from .tasks import Tasks
    from .volumes import Volumes


@dataclass(frozen=True, slots=True)
class Machinery:
    settings: Settings
    store: Store
    spawner: Spawners
    staging: Staging
    filters: Filters
    systemd: Manager
    machined: Machined
    retirement: Retirement
    journals: Journals
    logs: LogReaders
    disposal: Disposal
    networks: Networks
    images: Images
    volumes: Volumes
    events: Events
    tasks: Tasks  # end by themselves
    relays: Tasks  # end with what they serve
    readers: Readers
    restarts: Restarts
    sharing: Sharing
    last_capability: int
    controllers: frozenset[str]
    lanes: Lanes = field(default_factory=Lanes)
    looking: Lanes = field(default_factory=lambda: Lanes(LOOKS))
    watch: Watch = field(default_factory=Watch)
    migration: Migration = field(default_factory=Migration)
    keeping: Keeping = field(default_factory=Keeping)
