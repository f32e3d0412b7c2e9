# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in for a stored description that cannot be read: it names the container and promises nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import InvalidArgs
from .networking import Networking
from .spec import Rootfs, Spec, check_name

if TYPE_CHECKING:
    from collections.abc import Callable

COMMAND = ("?",)  # a specification has one


@dataclass(frozen=True, slots=True)
class Witness:
    """What the system itself tells of a container that runs."""

    name: str
    owner_uid: int
    uid_shift: int
    pid: int


def stand_in(name: str, identity: str) -> Spec:
    """Of that name, if it can be one: all that a unit, an object path and a person need to find the container."""
    try:
        check_name(name)
    except InvalidArgs:
        name = f"unreadable-{re.sub('[^a-z0-9]', '', identity)[:12]}"
    return Spec(name=name, rootfs=Rootfs("", 0, 0), command=COMMAND, networking=Networking(()))


def read_or_stand_in(read: Callable[[], Spec], name: str, identity: str) -> tuple[Spec, str]:
    """And why it could not be read, empty if it could: another version may have written it, so anything may come."""
    try:
        spec = read()
        if spec.name != name:
            raise InvalidArgs(f"it speaks of container {spec.name!r}")
    except Exception as error:
        return stand_in(name, identity), f"{type(error).__name__}: {error}"[:500]
    return spec, ""
