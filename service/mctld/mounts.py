# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the host a container is shown, and what it gets of its own beside its root file system."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from .bounds import check_path, check_range, shown
from .errors import InvalidArgs

MOUNTS_MAX = 128
TMPFS_SIZE_MAX = 1 << 44
TMPFS_SIZE_LEAST = 4096
TMPFS_INODES_MAX = 1 << 32
TMPFS_INODES = 65_536
TMPFS_BYTES = 64 << 20
KEPT = ("/", "/proc", "/sys", "/dev", "/dev/pts", "/dev/mqueue")  # what the walls stand on

_SIZE = re.compile(r"([0-9]{1,14})([kmgt]?)b?", re.ASCII | re.IGNORECASE)
_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}


@dataclass(frozen=True, slots=True)
class HostPath:
    """A file or directory of the host.

    device and inode pin the very one that was authorized: a path can be made to lead elsewhere later. Device
    numbers may change with each boot, so the device counts only during `boot`, a boot_id of random(4).
    owner None: files show their own owners inside. Else only files of that uid and gid show, as root's.
    """

    path: str
    device: int
    inode: int
    owner: tuple[int, int] | None = None
    boot: str = ""


@dataclass(frozen=True, slots=True)
class Bind:
    """A file or directory of the host at `target` inside; never with set-user-ID or device files in force."""

    source: HostPath
    target: str
    read_only: bool = False
    recursive: bool = True  # with what is mounted below it

    def __post_init__(self) -> None:
        check_target("Mounts", self.target)

    @classmethod
    def parse(cls, source: HostPath, target: str, options: str) -> Bind:
        """`options`: separated by commas, ro or rw, bind or rbind, as in mount(8)."""
        words = {word for word in options.split(",") if word}
        for word in words - {"ro", "rw", "bind", "rbind"}:
            raise InvalidArgs(f"Mounts option {shown(word)} of {target} is not known: use ro, rw, bind or rbind")
        for pair in ({"ro", "rw"}, {"bind", "rbind"}):
            if pair <= words:
                raise InvalidArgs(f"Mounts options of {target} are both {' and '.join(sorted(pair))}")
        if source.owner is not None and "rbind" in words:
            raise InvalidArgs(
                f"Mounts option 'rbind' of {target}: what is mounted below {source.path} is not yours to show; use bind"
            )
        recursive = source.owner is None and "bind" not in words
        return cls(source, plain(target), read_only="ro" in words, recursive=recursive)

    @property
    def options(self) -> str:
        return ",".join(("ro" if self.read_only else "rw", "rbind" if self.recursive else "bind"))


@dataclass(frozen=True, slots=True)
class Tmpfs:
    """tmpfs(5) at `target`: size in bytes and number of inodes are bounds; it counts as the container's memory."""

    target: str
    size: int = TMPFS_BYTES
    inodes: int = TMPFS_INODES
    mode: int = 0o1777
    executable: bool = False
    read_only: bool = False

    def __post_init__(self) -> None:
        check_target("Tmpfs", self.target)
        check_range(f"Tmpfs size of {self.target}", self.size, TMPFS_SIZE_LEAST, TMPFS_SIZE_MAX)
        check_range(f"Tmpfs nr_inodes of {self.target}", self.inodes, 2, TMPFS_INODES_MAX)
        check_range(f"Tmpfs mode of {self.target}", self.mode, 0, 0o7777)

    @classmethod
    def parse(cls, target: str, options: str) -> Tmpfs:
        """`options` as docker's --tmpfs: size=64m,nr_inodes=1k,mode=1777,exec,noexec,ro,rw,nosuid,nodev."""
        found: dict[str, Any] = {}
        for word in filter(None, options.split(",")):
            key, equals, value = word.partition("=")
            if key == "size" and equals:
                found["size"] = size("Tmpfs size", value)
            elif key == "nr_inodes" and equals:
                found["inodes"] = size("Tmpfs nr_inodes", value)
            elif key == "mode" and re.fullmatch(r"[0-7]{1,4}", value, re.ASCII):
                found["mode"] = int(value, 8)
            elif word in ("exec", "noexec"):
                found["executable"] = word == "exec"
            elif word in ("ro", "rw"):
                found["read_only"] = word == "ro"
            elif word not in ("nosuid", "nodev"):
                raise InvalidArgs(
                    f"Tmpfs option {shown(word)} of {target} is not known; known are size=, nr_inodes=, mode= (octal), "
                    "exec, noexec, ro, rw"
                )
        return cls(plain(target), **found)

    @property
    def options(self) -> str:
        words = (f"size={self.size}", f"nr_inodes={self.inodes}", f"mode={self.mode:o}")
        return ",".join((*words, "exec" if self.executable else "noexec", "ro" if self.read_only else "rw"))


def size(key: str, text: str) -> int:
    """A number, with k, m, g or t for powers of 1024."""
    match = _SIZE.fullmatch(text)
    if not match:
        raise InvalidArgs(f"{key} {shown(text)} is not a size such as 512k, 64m or 1g")
    return int(match[1]) << _UNITS[match[2].lower()]


def plain(path: str) -> str:
    """Without slashes that mean nothing, so that one place has one name."""
    return ("/" if path.startswith("/") else "") + "/".join(part for part in path.split("/") if part)


def check_number(mounts: int) -> None:
    if mounts > MOUNTS_MAX:
        raise InvalidArgs(f"{mounts} mounts were asked for: the most is {MOUNTS_MAX}")


def check_target(key: str, path: str) -> str:
    """A place inside where something may be put: not over the file systems that the walls stand on."""
    check_path(key, path)
    if plain(path) in KEPT or plain(path).startswith(("/proc/", "/sys/", "/dev/pts/", "/dev/mqueue/")):
        raise InvalidArgs(f"{key} target {shown(path)} would cover a file system that the container's walls stand on")
    return path


def check_targets(binds: tuple[Bind, ...], tmpfs: tuple[Tmpfs, ...], volumes: tuple[str, ...] = ()) -> None:
    """Together, in any order: one thing in one place."""
    check_number(len(binds) + len(tmpfs) + len(volumes))
    seen: set[str] = set()
    for target in (*(plain(bind.target) for bind in binds), *(plain(own.target) for own in tmpfs), *volumes):
        if target in seen:
            raise InvalidArgs(f"two mounts were asked for at {shown(target)}")
        seen.add(target)
