# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes without files: what the bus asks for, answered from memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mctld.errors import VolumeInUse
from mctld.volume import Volume

if TYPE_CHECKING:
    from mctld.lifecycle.volumes import Listener
    from mctld.spec import Spec


class SimulatedVolumes:
    """An id is the name, so that it can be told beforehand."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self.found: dict[str, Volume] = {}
        self.used: dict[str, list[str]] = {}
        self.discarded: list[str] = []

    def add(self, name: str, uid: int, labels: tuple[tuple[str, str], ...] = ()) -> Volume:
        made = self.found[name] = Volume(name, name, uid, 7, labels)
        for listener in self.listeners:
            listener.added(made)
        return made

    def all(self) -> tuple[Volume, ...]:
        return tuple(self.found.values())

    def get(self, identity: str) -> Volume | None:
        return self.found.get(identity)

    def find(self, uid: int, text: str) -> Volume | None:
        found = self.found.get(text)
        return found if found and found.visible_to(uid) else None

    def users(self, volume: Volume) -> list[str]:
        return self.used.get(volume.id, [])

    def create(self, name: str, uid: int, labels: tuple[tuple[str, str], ...] = ()) -> Volume:
        return self.add(name or "nameless", uid, labels)

    def remove(self, volume: Volume) -> None:
        if self.users(volume):
            raise VolumeInUse("it is used")
        del self.found[volume.id]
        for listener in self.listeners:
            listener.removed(volume)

    def discard_nameless(self, spec: Spec) -> None:
        self.discarded.append(spec.name)
