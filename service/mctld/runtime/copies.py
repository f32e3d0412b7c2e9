# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of a root directory whose file system cannot show it with other ids: made once, kept with the container."""

from __future__ import annotations

import os
import shutil
import subprocess

from ..errors import SetupFailed

COPY = ["cp", "--archive", "--one-file-system", "--reflink=auto", "--no-target-directory"]


def copy_of(lower: int, directory: str) -> int:
    """The open copy below `directory`. Links are copied as links, owners and modes as they are. Blocks for long."""
    place = f"{directory}/copy"
    if not os.path.isdir(place):
        _make(lower, place)
    return os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _make(lower: int, place: str) -> None:
    """Under its name only when it is whole. Nobody but root comes near: what it holds keeps its set-user-ID bits."""
    unfinished = f"{place}.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    os.makedirs(os.path.dirname(place), 0o700, exist_ok=True)
    command = [*COPY, f"/proc/self/fd/{lower}/.", unfinished]
    done = subprocess.run(command, pass_fds=(lower,), stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        shutil.rmtree(unfinished, ignore_errors=True)
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise SetupFailed("copy the root directory", said[0] if said else f"cp ended with status {done.returncode}")
    os.rename(unfinished, place)
