# SPDX-License-Identifier: GPL-3.0-or-later
"""org.mctl1.Volume: one object for each volume. They are their owners' alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UnknownObject
from . import options
from .paths import volume_path
from .question import INSPECT, Question
from .target import Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..volume import Volume
    from .contract import Interface, Method
    from .engine import Volumes
    from .question import Call

INTERFACE = "org.mctl1.Volume"


class VolumeObject(Target):
    """Also stands for a path at which there is none: only who is authorized learns that."""

    def __init__(
        self, volumes: Volumes, interfaces: Sequence[Interface], identity: str, volume: Volume | None = None
    ) -> None:
        super().__init__(volume_path(identity), interfaces)
        self._volumes = volumes
        self._identity = identity
        self._found = volume or volumes.get(identity)

    @property
    def volume(self) -> Volume:
        if self._found is None:
            raise UnknownObject(f"there is no volume {self._identity!r}")
        return self._found

    def ask(self, call: Call, actions: tuple[str, ...], args: tuple[object, ...], verb: str) -> Question:
        """The same volume is the same after its first use."""
        found = self._found
        return Question(
            actions,
            args,
            verb,
            f"{verb} the volume $(volume)" + (" of user $(owner)" if found else ""),
            self._identity,
            found.owner_uid if found else None,
            volume_details(found) if found else {},
            found.id if found else None,
            lambda: getattr(self._volumes.get(self._identity), "id", None),
            noun="volume",
        )

    def ask_own(self, call: Call, method: Method, args: Sequence[object]) -> Question:
        match method.name, args:
            case "Remove", [int(flags)]:
                options.check_flags(flags, {})
                return self.ask(call, (method.action,), (), "remove")
        return super().ask_own(call, method, args)

    def introspection_actions(self) -> tuple[str, ...]:
        return (INSPECT,)

    async def introspect(self, call: Call) -> str:
        _ = self.volume  # raises where there is none
        return await super().introspect(call)

    def remove(self, call: Call) -> None:
        del call
        self._volumes.remove(self.volume)

    def id(self) -> str:
        return self.volume.id

    def name(self) -> str:
        return self.volume.name

    def owner_uid(self) -> int:
        return self.volume.owner_uid

    def create_timestamp(self) -> int:
        return self.volume.created_usec

    def labels(self) -> dict[str, str]:
        return dict(self.volume.labels)

    def containers(self) -> list[str]:
        return list(self._volumes.users(self.volume))


def volume_details(volume: Volume) -> dict[str, str]:
    """What a polkit rule may judge by."""
    labels = {f"labels.{key}": value for key, value in volume.labels}
    return {"volume": volume.display_name, "owner": str(volume.owner_uid), **labels}
