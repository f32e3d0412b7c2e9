# SPDX-License-Identifier: GPL-3.0-or-later
"""Device nodes of a container, and the list of what it may open: config-linux.md#devices, #allowed-device-list."""

from __future__ import annotations

from ..errors import InvalidArgs
from .reading import UINT32_MAX
from .value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .reading import Value

CHARACTER, BLOCK, FIFO = "c", "b", "p"
TYPES = {"c": CHARACTER, "u": CHARACTER, "b": BLOCK, "p": FIFO}  # u is an unbuffered c, mknod(1)
ALL = -1  # majors or minors
MAJOR_MAX, MINOR_MAX = 0xFFF, 0xFFFFF  # MKDEV of linux/kdev_t.h

# config-linux.md#default-devices
DEFAULT = (
    ("/dev/null", 1, 3), ("/dev/zero", 1, 5), ("/dev/full", 1, 7), ("/dev/random", 1, 8), ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
)  # fmt: skip


@value(frozen=True)
class Device:
    path: str
    kind: str
    major: int
    minor: int
    mode: int | None = None
    uid: int = 0
    gid: int = 0


@value(frozen=True)
class Rule:
    allow: bool
    kind: str  # a, b or c
    major: int
    minor: int
    access: str  # of r, w and m


DEFAULTS = tuple(Device(path, CHARACTER, major, minor, 0o666) for path, major, minor in DEFAULT)
# What every container may open, whatever the list says: the default devices, terminals, and what it makes itself.
GRANTED = (
    *(Rule(True, CHARACTER, major, minor, "rwm") for _, major, minor in DEFAULT),  # noqa: FBT003
    Rule(True, CHARACTER, 5, 1, "rwm"),  # noqa: FBT003  /dev/console
    Rule(True, CHARACTER, 5, 2, "rwm"),  # noqa: FBT003  /dev/ptmx
    Rule(True, CHARACTER, 136, ALL, "rwm"),  # noqa: FBT003  pseudoterminals, Documentation/admin-guide/devices.txt
)


def read(given: Value) -> tuple[Device, ...]:
    found = [_device(item) for item in given.items()]
    paths = [device.path for device in found]
    for path in paths:
        if paths.count(path) > 1:
            raise InvalidArgs(f"{given.path} has {path} twice")
    return tuple(found)


def _device(item: Value) -> Device:
    kind = item["type"].choice(TYPES)
    path = item["path"].absolute()
    if any(part in ("", ".", "..") for part in path.split("/")[1:]):
        raise item["path"].error("it must be a plain path of a file")
    return Device(
        path=path,
        kind=kind,
        major=0 if kind == FIFO else item["major"].number(0, MAJOR_MAX),
        minor=0 if kind == FIFO else item["minor"].number(0, MINOR_MAX),
        mode=item["fileMode"].number(0, 0o177777) & 0o7777 if item["fileMode"].given else None,
        uid=item["uid"].number(0, UINT32_MAX - 1, 0),
        gid=item["gid"].number(0, UINT32_MAX - 1, 0),
    )


def read_rules(given: Value) -> tuple[Rule, ...]:
    return tuple(_rule(item) for item in given.items())


def _rule(item: Value) -> Rule:
    access = item["access"].text("rwm") or "rwm"
    if set(access) - set("rwm"):
        raise item["access"].error("it must be made of r, w and m")
    if not item["allow"].given:
        raise item["allow"].error("it must be true or false")
    return Rule(
        allow=item["allow"].boolean(),
        kind=item["type"].choice({"a": "a", "b": "b", "c": "c", "": "a"}) if item["type"].given else "a",
        major=item["major"].number(ALL, MAJOR_MAX, ALL),
        minor=item["minor"].number(ALL, MINOR_MAX, ALL),
        access="".join(sorted(set(access))),
    )
