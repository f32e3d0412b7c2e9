# SPDX-License-Identifier: GPL-3.0-or-later
"""What the outer host must offer: root, Debian tools, a cache directory, a place in cgroup v2."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TREE = Path(__file__).resolve().parents[2]
NSPAWN_TOOLS = {"mmdebstrap": "mmdebstrap", "systemd-nspawn": "systemd-container", "setpriv": "util-linux"}
QEMU_TOOLS = {"mmdebstrap": "mmdebstrap", "qemu-system-x86_64": "qemu-system-x86", "mke2fs": "e2fsprogs"}
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class HostError(Exception):
    """The outer host cannot do what a machine needs; the sentence says what."""


def say(text: str) -> None:
    print(f"[machine] {text}", file=sys.stderr, flush=True)


def cache() -> Path:
    """Where base images live between runs: $MCTL_CACHE, else /var/cache/mctl."""
    return Path(os.environ.get("MCTL_CACHE") or "/var/cache/mctl")


def require_root() -> None:
    if os.geteuid() != 0:
        raise HostError("machines need root: namespaces, mounts and cgroups are made here")


def require(tools: Mapping[str, str]) -> None:
    """Installs the Debian packages of the missing tools; tools maps a program to its package."""
    require_root()
    missing = {package for tool, package in tools.items() if not shutil.which(tool, path=search_path())}
    if not KEYRING.exists():
        missing.add("debian-archive-keyring")
    if missing:
        install(sorted(missing))


def search_path() -> str:
    """PATH with the distribution's programs first: another Python in front breaks Debian's tools."""
    return "/usr/sbin:/usr/bin:/sbin:/bin"


def install(packages: list[str]) -> None:
    say(f"installing {' '.join(packages)}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "PATH": search_path()}
    arguments = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    quiet = subprocess.run(arguments, env=env, capture_output=True, check=False)
    if quiet.returncode:
        subprocess.run(["apt-get", "update", "-qq"], env=env, check=True)
        subprocess.run(arguments, env=env, check=True, stdout=sys.stderr)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Only one process at a time builds what path names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def under_systemd() -> bool:
    """True where PID 1 is systemd; it then owns the cgroup tree and gives nspawn a scope."""
    return Path("/run/systemd/system").is_dir()


def cgroup_mount() -> Path:
    """Where cgroup v2 is mounted, on hybrid hosts too."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[fields.index("-") + 1] == "cgroup2":
            return Path(fields[4])
    raise HostError("no cgroup v2 is mounted here; systemd-nspawn machines need one")


def is_alive(pid: int, started: int) -> bool:
    return start_time(pid) == started


def start_time(pid: int) -> int | None:
    """Start of a process in clock ticks since boot, None when it is gone (proc(5), stat field 22)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])
