# SPDX-License-Identifier: GPL-3.0-or-later
"""What org.mctl1.Manager does with volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..bounds import shown
from ..errors import NoSuchVolume
from ..spec import check_new_labels
from ..volume import check_name
from . import options
from . import volume as bus_volume
from .lists import Lists
from .paths import volume_path
from .question import Question
from .transfers import TransferManager
from .volume import VolumeObject, volume_details

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..volume import Volume
    from .codec import Encoded
    from .contract import Contract, Method
    from .engine import Registry
    from .lists import Row
    from .question import Call

CREATION = {"Labels": "a{ss}"}


class VolumeManager(TransferManager):
    """The part of the manager that is about volumes."""

    def __init__(self, path: str, interfaces: Any, contract: Contract, registry: Registry) -> None:
        super().__init__(path, interfaces, registry)
        self._volume = contract[bus_volume.INTERFACE]
        self._volumes = registry.volumes
        self._lists = Lists()

    def ask_own(self, call: Call, method: Method, args: Sequence[object]) -> Question:
        match method.name, args:
            case "CreateVolume", [str(name), dict(given), int(flags)]:
                options.check_flags(flags, {})
                labels = tuple(sorted(options.parse(given, CREATION).get("Labels", {}).items()))
                return self._volume_creation(call, method, name, check_new_labels(labels))
            case "GetVolume", [str(key)]:
                return self._seek_volume(call, method, key)
            case "ListVolumes" | "GetDiskUsage", [int(flags)]:
                options.check_flags(flags, {})
                return self.ask(call, (method.action,), (), "list")
        return super().ask_own(call, method, args)

    def create_volume(self, call: Call, name: str, labels: tuple[tuple[str, str], ...]) -> tuple[str, str]:
        made = self._volumes.create(name, call.uid, labels)
        return volume_path(made.id), made.display_name

    def get_volume(self, call: Call, key: str) -> str:
        found = self._volumes.find(call.uid, key)
        if found is None:
            raise NoSuchVolume(f"there is no volume {shown(key)} of yours")
        return volume_path(found.id)

    async def list_volumes(self, call: Call) -> list[Encoded]:
        return await self._lists.made(call, list(self._volume_rows(call).values()))

    def _volume_rows(self, call: Call) -> dict[str, Row]:
        return {volume_path(v.id): self._volume_row(v) for v in self._volumes.all() if v.visible_to(call.uid)}

    def _volume_creation(self, call: Call, method: Method, name: str, labels: tuple[tuple[str, str], ...]) -> Question:
        return Question(
            (method.action,),
            (check_name(name) if name else name, labels),
            "create-volume",
            "make the volume $(volume)",
            details={"volume": name, "owner": str(call.uid), **{f"labels.{key}": value for key, value in labels}},
        )

    def _seek_volume(self, call: Call, method: Method, key: str) -> Question:
        found = self._volumes.find(call.uid, key)
        return Question(
            (method.action,),
            (key,),
            "inspect",
            "see the volume $(volume)",
            key,
            found.owner_uid if found else None,
            volume_details(found) if found else {},
            found.id if found else None,
            lambda: getattr(self._volumes.find(call.uid, key), "id", None),
            noun="volume",
        )

    def _volume_row(self, volume: Volume) -> Row:
        there = VolumeObject(self._volumes, [self._volume], volume.id, volume)
        return there.read(tuple(self._volume.properties.values()))
