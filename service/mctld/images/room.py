# SPDX-License-Identifier: GPL-3.0-or-later
"""The last of a file system is not for images: the host goes on living."""

from __future__ import annotations

import os

from . import bounds
from .refusal import Refusal


def check_room(place: int | str) -> None:
    """Of the file system on which an open directory, or a path, lies."""
    found = os.statvfs(place)
    free, share = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize // bounds.SPACE_SHARE
    floor = min(share, bounds.SPACE_BYTES)
    if free < floor:
        raise Refusal(
            f"the file system of the images has {free >> 20} MiB left: the last {floor >> 20} MiB are not for images; "
            "make room"
        )
    floor = min(found.f_files // bounds.SPACE_SHARE, bounds.SPACE_INODES)
    if found.f_favail < floor:  # both are 0 where there is no table of them: btrfs
        raise Refusal(
            f"the file system of the images can hold {found.f_favail} more files: the last {floor} are not for images; "
            "remove files (df -i)"
        )
