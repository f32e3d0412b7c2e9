# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories made inside a root file system from outside, without being led out of it."""

from __future__ import annotations

import contextlib
import os

from ..kernel import files


def make_directory(root: int, path: str, uid: int) -> None:
    """With all that is missing above it, belonging to `uid` of the host. What is no directory stays as it is."""
    place = os.dup(root)
    try:
        walked = ""
        for part in filter(None, path.split("/")):
            walked += f"/{part}"
            try:
                below = files.open_in_root(root, walked, os.O_PATH | os.O_DIRECTORY)
            except FileNotFoundError:
                with contextlib.suppress(FileExistsError):  # a link that leads nowhere
                    _make(place, part, uid)
                below = files.open_in_root(root, walked, os.O_PATH | os.O_DIRECTORY)
            os.close(place)
            place = below
    finally:
        os.close(place)


def _make(place: int, name: str, uid: int) -> None:
    os.mkdir(name, dir_fd=place)
    made = files.open_plain(place, name, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fchown(made, uid, uid)
        os.fchmod(made, 0o755)  # whatever our umask
    finally:
        os.close(made)
