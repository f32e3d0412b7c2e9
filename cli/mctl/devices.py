# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of run, create and update that give a device of the host, and take one away."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

from .failures import UsageError
from .parser import Option

if TYPE_CHECKING:
    from .parser import Arguments

Device = tuple[str, str, str]  # path on the host, path inside, permissions

DEVICES_MAX = 12  # a message of dbus-daemon's default configuration carries 16 descriptors


def device(flag: str, text: str) -> Device:
    """HOST[:INSIDE][:rwm], as docker's --device."""
    source, *rest = text.split(":")
    permissions = rest.pop() if rest and not rest[-1].startswith("/") else "rw"
    target = rest.pop() if rest else source
    if rest or not source.startswith("/"):
        raise UsageError(f"{flag} {text!r} is not DEVICE[:PATH][:rwm], as in /dev/fuse or /dev/sdb:/dev/disk:r")
    if not permissions or set(permissions) - set("rwm") or len(set(permissions)) < len(permissions):
        raise UsageError(f"{flag} {text!r}: {permissions!r} must be some of r, w and m")
    if not target.startswith("/dev/"):
        raise UsageError(f"{flag} {text!r}: a device shows below /dev inside, not at {target}")
    return source, target, permissions


def place(flag: str, text: str) -> str:
    if not text.startswith("/dev/"):
        raise UsageError(f"{flag} {text!r} is not the path of a device inside, as /dev/fuse")
    return text


OPTIONS = (Option(("--device",), "a device of the host", value="DEV[:P][:rwm]", convert=device, repeat=True),)
CHANGES = (*OPTIONS, Option(("--device-rm",), "take a device away", value="PATH", convert=place, repeat=True))


def device_changes(arguments: Arguments) -> dict[str, tuple[str, Any]]:
    """For Update."""
    taken = arguments.get("device_rm", [])
    return device_options(arguments) | ({"TakenDevices": ("as", list(taken))} if taken else {})


def device_options(arguments: Arguments) -> dict[str, tuple[str, Any]]:
    """Devices for CreateContainer and Update; for a directory, all that lie in it."""
    found = [each for given in arguments.get("device", []) for each in nodes(*given)]
    if len(found) > DEVICES_MAX:
        raise UsageError(f"--device: {len(found)} devices are too many, the most is {DEVICES_MAX}")
    return {"Devices": ("a(hss)", [(node(path), *rest) for path, *rest in found])} if found else {}


def nodes(source: str, target: str, permissions: str) -> list[Device]:
    if not os.path.isdir(source):
        return [(source, target, permissions)]
    inside = (
        (os.path.join(place, name), os.path.join(target, os.path.relpath(place, source), name))
        for place, _, names in os.walk(source)
        for name in sorted(names)
    )
    found = [(path, os.path.normpath(shown), permissions) for path, shown in inside if is_device(path)]
    if not found:
        raise UsageError(f"--device {source}: there is no device in this directory")
    return found


def is_device(path: str) -> bool:
    mode = os.lstat(path).st_mode
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def node(path: str) -> int:
    """Not really opened: that would do something to some devices."""
    try:
        return os.open(os.path.realpath(path), os.O_PATH | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"--device {path}: {reason}") from None
