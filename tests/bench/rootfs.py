# SPDX-License-Identifier: GPL-3.0-or-later
"""The one root file system that all engines run: Debian's static busybox."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from bench import command

# /srv lies on a real file system in every machine: engines can put their overlays on it.
GROUND = Path("/srv/bench")
DIRECTORIES = ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "usr", "var")


@dataclass(frozen=True)
class Rootfs:
    directory: Path
    tar: Path


def make() -> Rootfs:
    rootfs = Rootfs(GROUND / "busybox", GROUND / "busybox.tar")
    for name in DIRECTORIES:
        (rootfs.directory / name).mkdir(parents=True, exist_ok=True)
    busybox = rootfs.directory / "bin/busybox"
    shutil.copy2(shutil.which("busybox") or "/bin/busybox", busybox)
    for applet in command.output([str(busybox), "--list"]).split():
        link = rootfs.directory / "bin" / applet
        if not link.exists():
            link.symlink_to("busybox")
    command.output(["tar", "-C", str(rootfs.directory), "-cf", str(rootfs.tar), "."])
    return rootfs


def bind(path: str) -> None:
    """Puts a state directory of an engine on the real file system: overlayfs refuses an upper layer on overlayfs."""
    real = GROUND / Path(path).name
    real.mkdir(parents=True, exist_ok=True)
    Path(path).mkdir(parents=True, exist_ok=True)
    command.output(["mount", "--bind", str(real), path])
