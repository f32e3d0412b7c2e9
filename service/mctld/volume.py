# SPDX-License-Identifier: GPL-3.0-or-later
"""Named volumes: directories of the service's that outlive containers, each its owner's alone."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from .bounds import check_printable, shown
from .errors import InvalidArgs
from .mounts import check_target, plain

RULE = "up to 128 letters, digits, '_', '.' and '-', the first a letter or a digit, and no 32 hexadecimal digits"
OPTIONS = {"ro", "rw", "nocopy", "copy", "z", "Z"}  # the last two are SELinux's, which docker takes everywhere too
SUBPATH = "subpath="

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

    copy: what the image has at the target fills it at its first use. subpath: a directory or file in the volume, which
    has to be there, instead of all of it; nothing is filled then.
    """

    target: str
    name: str = ""
    read_only: bool = False
    copy: bool = True
    volume: str = ""
    subpath: str = ""

    def __post_init__(self) -> None:
        check_target("Volumes", self.target)
        if self.name and not is_id(self.name):
            check_name(self.name)
        if self.volume and not is_id(self.volume):
            raise InvalidArgs(f"{shown(self.volume)} is not the id of a volume")
        if self.subpath:
            check_subpath(self.subpath)
            if not self.name:
                raise InvalidArgs(f"Volumes subpath {shown(self.subpath)} of {self.target}: name the volume it is in")

    @classmethod
    def parse(cls, name: str, target: str, options: str) -> VolumeMount:
        """`options`: separated by commas, ro or rw, copy or nocopy, subpath=."""
        words = {word for word in options.split(",") if word}
        subpaths = {word for word in words if word.startswith(SUBPATH)}
        for word in words - OPTIONS - subpaths:
            raise InvalidArgs(f"Volumes option {shown(word)} of {target} is not known: use ro, rw, nocopy or {SUBPATH}")
        for pair in ({"ro", "rw"}, {"copy", "nocopy"}):
            if pair <= words:
                raise InvalidArgs(f"Volumes options of {target} are both {' and '.join(sorted(pair))}")
        if len(subpaths) > 1:
            raise InvalidArgs(f"Volumes options of {target} are both {' and '.join(sorted(subpaths))}")
        subpath = "".join(check_subpath(word.removeprefix(SUBPATH)) for word in subpaths)
        read_only, copy = "ro" in words, "nocopy" not in words
        return cls(plain(target), name, read_only=read_only, copy=copy, subpath=plain(subpath))

    @property
    def options(self) -> str:
        subpath = f",{SUBPATH}{self.subpath}" if self.subpath else ""
        return ("ro" if self.read_only else "rw") + ("" if self.copy else ",nocopy") + subpath

    def settled(self, volume: Volume) -> VolumeMount:
        return replace(self, volume=volume.id)


def check_name(name: str) -> str:
    if not _NAME.fullmatch(name) or is_id(name):
        raise InvalidArgs(f"{shown(name)} is not a name for a volume: use {RULE}")
    return name


def check_subpath(path: str) -> str:
    """Below a volume's own directory."""
    check_printable("Volumes subpath", path, 4095)
    parts = path.split("/")
    if path.startswith("/") or not any(parts) or "." in parts or ".." in parts:
        raise InvalidArgs(f"Volumes subpath {shown(path)} is not a path in a volume, as web/static, without . and ..")
    return path


def is_id(text: str) -> bool:
    return bool(_ID.fullmatch(text))
