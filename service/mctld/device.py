# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices of the host that a container is given."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .bounds import check_printable, shown
from .errors import InvalidArgs

DEVICES_MAX = 12  # a message of dbus-daemon's default configuration carries 16 descriptors
PERMISSIONS = "rwm"
TARGET_MAX = 255

_TARGET = re.compile(r"/dev(/[A-Za-z0-9_+:@=,#.-]+)+", re.ASCII)
# What every container has of its own; see LINKS, DEVICES and the mounts below /dev in runtime/planner.py.
_TAKEN = re.compile(
    r"/dev/(console|core|fd|full|mqueue|null|ptmx|pts|random|shm|stderr|stdin|stdout|tty|urandom|zero)(/.*)?"
)


@dataclass(frozen=True, slots=True)
class Device:
    """A device node of the host at `target` inside.

    The numbers are those of the node that was authorized; at each start `path` must still lead to them.
    permissions: r, w and m (to make nodes for it) as in systemd.resource-control(5), DeviceAllow=.
    """

    path: str
    major: int
    minor: int
    block: bool
    target: str
    permissions: str = "rw"

    def __post_init__(self) -> None:
        check_printable("Devices path", self.path, 4095)
        if not _TARGET.fullmatch(self.target) or len(self.target) > TARGET_MAX or {".", ".."} & {*self._parts}:
            raise InvalidArgs(f"Devices {shown(self.target)} is not a plain path below /dev, as /dev/fuse")
        if _TAKEN.fullmatch(self.target):
            raise InvalidArgs(f"Devices {self.target} is taken: every container has its own")
        given = self.permissions
        if not given or len(set(given)) < len(given) or set(given) - set(PERMISSIONS):
            raise InvalidArgs(f"Devices {self.target}: permissions {shown(given)} must be some of r, w and m")

    @property
    def _parts(self) -> list[str]:
        return self.target.split("/")

    def is_no_more_than(self, other: Device) -> bool:
        """Whether whoever has the other one can do all that with it already."""
        same = (self.major, self.minor, self.block) == (other.major, other.minor, other.block)
        return same and set(self.permissions) <= set(other.permissions)

    @property
    def node(self) -> str:
        """By its numbers, as PID 1 takes it without looking at any file."""
        return f"/dev/{'block' if self.block else 'char'}/{self.major}:{self.minor}"


def check_number(devices: int) -> None:
    if devices > DEVICES_MAX:
        raise InvalidArgs(f"Devices has {devices} entries: the most is {DEVICES_MAX}")


def check_devices(devices: tuple[Device, ...]) -> None:
    check_number(len(devices))
    targets = [device.target for device in devices]
    for target in targets:
        if targets.count(target) > 1 or any(other.startswith(f"{target}/") for other in targets):
            raise InvalidArgs(f"Devices has {target} twice, or something below it")
