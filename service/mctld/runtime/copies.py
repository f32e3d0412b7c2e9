# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of a root directory whose file system cannot show it with other ids: made once, kept with the container."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TypedDict

from ..errors import SetupFailed

NOGROUP = 65_534
COPY = ["cp", "--archive", "--one-file-system", "--reflink=auto", "--no-target-directory"]


class _Identity(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def copy_of(lower: int, directory: str, owner: tuple[int, int] | None) -> int:
    """The open copy below `directory`. Links are copied as links, owners and modes as they are. Blocks for long.

    `owner`, user and group: whose files alone are to show, and who copies. They may change the tree meanwhile, and put
    a link in the place of a directory: it leads nowhere that they could not go themselves.
    """
    place = f"{directory}/copy"
    if not os.path.isdir(place):
        _make(lower, place, owner)
    return os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _make(lower: int, place: str, owner: tuple[int, int] | None) -> None:
    """Under its name only when it is whole. Nobody but root comes near: what it holds keeps its set-user-ID bits."""
    unfinished = f"{place}.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    os.makedirs(os.path.dirname(place), 0o700, exist_ok=True)
    try:
        os.mkdir(unfinished, 0o700)
        if owner:
            os.chown(unfinished, *owner)
        made = os.open(unfinished, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _copy(lower, made, owner)
        finally:
            os.close(made)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    os.rename(unfinished, place)


def _copy(lower: int, made: int, owner: tuple[int, int] | None) -> None:
    source = f"/proc/self/fd/{lower}/."
    command = [*COPY, source, f"/proc/self/fd/{made}/."]
    done = subprocess.run(command, pass_fds=(lower, made), stderr=subprocess.PIPE, check=False, **_as(owner))
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").replace(source, "").strip().splitlines()
        raise SetupFailed("copy the root directory", said[0] if said else f"cp ended with status {done.returncode}")


def _as(owner: tuple[int, int] | None) -> _Identity:
    """Without capabilities, setresuid(2) from root drops them. The group is only among the others, so that none of the
    owner's processes may trace this one, and take its descriptors: ptrace(2) wants all groups to be the same.
    """
    return {} if owner is None else {"user": owner[0], "group": NOGROUP, "extra_groups": [owner[1]]}
