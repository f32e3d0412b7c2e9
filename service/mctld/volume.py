# SPDX-License-Identifier: GPL-3.0-or-later
"""Named volumes: directories of the service's that outlive containers, each its owner's alone."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from .bounds import shown
from .errors import InvalidArgs
from .mounts import check_target, plain

RULE = "up to 128 letters, digits, '_', '.' and '-', the first a letter or a digit, and no 32 hexadecimal digits"
OPTIONS = {"ro", "rw", "nocopy", "copy", "z", "Z"}  # the last two are SELinux's, which docker takes everywhere too

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}", re.ASCII)
_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Volume:
    """name: empty where only containers know it by its id. fresh: no container has used it yet."""

    id: str
    name: str
    owner_uid: int
    created_usec: int
    labels: tuple[tuple[str, str], ...] = ()
    fresh: bool = True

    @property
    def display_name(self) -> str:
        return self.name or self.id

    def visible_to(self, uid: int) -> bool:
        return uid in (0, self.owner_uid)


@dataclass(frozen=True, slots=True)
class VolumeMount:
    """A volume at `target` inside. volume: its id, settled when the container is made; name: empty for one of its own.

    copy: what the image has at the target fills it at its first use.
    """

    target: str
    name: str = ""
    read_only: bool = False
    copy: bool = True
    volume: str = ""

    def __post_init__(self) -> None:
        check_target("Volumes", self.target)
        if self.name and not is_id(self.name):
            check_name(self.name)
        if self.volume and not is_id(self.volume):
            raise InvalidArgs(f"{shown(self.volume)} is not the id of a volume")

    @classmethod
    def parse(cls, name: str, target: str, options: str) -> VolumeMount:
        """`options`: separated by commas, ro or rw, copy or nocopy."""
        words = {word for word in options.split(",") if word}
        for word in words - OPTIONS:
            raise InvalidArgs(f"Volumes option {shown(word)} of {target} is not known: use ro, rw or nocopy")
        for pair in ({"ro", "rw"}, {"copy", "nocopy"}):
            if pair <= words:
                raise InvalidArgs(f"Volumes options of {target} are both {' and '.join(sorted(pair))}")
        return cls(plain(target), name, read_only="ro" in words, copy="nocopy" not in words)

    @property
    def options(self) -> str:
        return ("ro" if self.read_only else "rw") + ("" if self.copy else ",nocopy")

    def settled(self, volume: Volume) -> VolumeMount:
        return replace(self, volume=volume.id)


def check_name(name: str) -> str:
    if not _NAME.fullmatch(name) or is_id(name):
        raise InvalidArgs(f"{shown(name)} is not a name for a volume: use {RULE}")
    return name


def is_id(text: str) -> bool:
    return bool(_ID.fullmatch(text))
