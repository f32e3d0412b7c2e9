# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells subscribers of volumes that come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import volume as bus_volume
from .paths import ROOT, volume_path
from .standard import OBJECT_MANAGER
from .volume import VolumeObject

if TYPE_CHECKING:
    from ..volume import Volume
    from .contract import Contract
    from .engine import Volumes
    from .signals import Herald


class VolumeHerald:
    """A listener of the volumes. Only their owners hear of them, and who may see all."""

    def __init__(self, herald: Herald, contract: Contract, volumes: Volumes) -> None:
        self._herald = herald
        self._interface = contract[bus_volume.INTERFACE]
        self._volumes = volumes

    def added(self, volume: Volume) -> None:
        def body() -> list[object]:
            there = VolumeObject(self._volumes, [self._interface], volume.id, volume)
            return [
                volume_path(volume.id),
                {self._interface.name: there.values([*self._interface.properties.values()])},
            ]

        self._herald.tell(frozenset((volume.owner_uid,)), ROOT, OBJECT_MANAGER, "InterfacesAdded", body)

    def removed(self, volume: Volume) -> None:
        body: list[object] = [volume_path(volume.id), [self._interface.name]]
        self._herald.tell(frozenset((volume.owner_uid,)), ROOT, OBJECT_MANAGER, "InterfacesRemoved", lambda: body)
