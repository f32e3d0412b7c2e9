# SPDX-License-Identifier: GPL-3.0-or-later
"""What shall be otherwise of a container that is there: frozen, and judged against the container when it is made so."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .bounds import check_printable
from .dangers import gained
from .device import TARGET_MAX, check_devices, check_number
from .errors import AccessDenied, InvalidArgs
from .security import Security

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .device import Device
    from .restart import RestartPolicy
    from .spec import Spec


@dataclass(frozen=True, slots=True)
class Change:
    """What is not named stays.

    limits: fields of Limits. devices: given, or, where one is at that place inside, in its stead. taken: places inside
    of devices to be taken away. consented: what it has not had and an administrator has agreed to, in gained()'s words.
    """

    limits: Mapping[str, Any] = field(default_factory=dict)
    restart: RestartPolicy | None = None
    rlimits: tuple[tuple[str, int, int], ...] = ()
    devices: tuple[Device, ...] = ()
    taken: tuple[str, ...] = ()
    consented: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        Security(rlimits=self.rlimits)
        check_devices(self.devices)
        check_number(len(self.taken))
        for target in self.taken:
            check_printable("TakenDevices", target, TARGET_MAX)

    def of(self, spec: Spec) -> Spec:
        """The whole, valid, or an error. Judged anew: what it had when the question was asked it may have no more."""
        more = [each for each in gained(spec, self.rlimits, self.devices) if each not in self.consented]
        if more:
            raise AccessDenied(f"container {spec.name!r} has {'; '.join(more)} no more: ask again")
        return replace(
            spec,
            limits=spec.limits.changed(self.limits),
            restart=self.restart or spec.restart,
            security=replace(spec.security, rlimits=self._rlimits(spec)),
            devices=self._devices(spec),
        )

    def _rlimits(self, spec: Spec) -> tuple[tuple[str, int, int], ...]:
        given = {name for name, _, _ in self.rlimits}
        return tuple(sorted([*(limit for limit in spec.security.rlimits if limit[0] not in given), *self.rlimits]))

    def _devices(self, spec: Spec) -> tuple[Device, ...]:
        there = {device.target: device for device in spec.devices}
        for target in self.taken:
            if target not in there:
                known = f"it has {', '.join(there)}" if there else "it has none"
                raise InvalidArgs(f"TakenDevices {target}: container {spec.name!r} has no such device, {known}")
        kept = {target: device for target, device in there.items() if target not in self.taken}
        return tuple((kept | {device.target: device for device in self.devices}).values())
