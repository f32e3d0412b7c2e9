# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's root file systems with some packages as archives, to make images of; cached by what goes into them."""

from __future__ import annotations

import hashlib
import os
import subprocess
from typing import TYPE_CHECKING

from machine import host
from machine.image import environment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SUFFIX = ".tar.zst"


def archive(distro: str, packages: Sequence[str]) -> Path:
    """Made now when the cache has none; an older one of the same packages goes."""
    name = f"archive-{distro}-{'-'.join(packages)}"
    shelf = host.cache() / "archives"
    made = shelf / f"{name}-{hashlib.sha256(' '.join((distro, *packages)).encode()).hexdigest()[:12]}{SUFFIX}"
    with host.locked(shelf / f"{name}.lock"):
        if not made.exists():
            host.say(f"making {made.name} (once, about a minute)")
            _make(distro, packages, made)
    return made


def _make(distro: str, packages: Sequence[str], made: Path) -> None:
    half = made.with_name(f".{os.getpid()}-{made.name}")
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(packages)}",
               '--aptopt=Acquire::Retries "3"', '--dpkgopt=path-exclude=/usr/share/doc/*',
               distro, str(half)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    if done.returncode:
        half.unlink(missing_ok=True)
        raise host.HostError(f"mmdebstrap {distro} failed ({done.returncode}):\n{done.stderr[-4000:]}")
    half.rename(made)
