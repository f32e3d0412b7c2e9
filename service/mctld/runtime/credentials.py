# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets in files that only the payload's user can read, in memory that is never swapped out (ramfs).

The service makes them; the stage, which alone knows which user of the image's passwd(5) it is about to become, gives
them away. Light: it runs in a fork of the spawner.
"""

from __future__ import annotations

import os

from ..kernel import constants as c
from ..kernel import mount
from . import accounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .stage import Descriptors

_WALLS = c.MOUNT_ATTR_NOSUID | c.MOUNT_ATTR_NODEV | c.MOUNT_ATTR_NOEXEC


def make(contents: Mapping[str, bytes], owner: int) -> int:
    """A detached mount of one file each. owner: the container's root, so that the stage may change that."""
    made = mount.new_filesystem("ramfs", {"mode": "0700"}, _WALLS)
    try:
        directory = _open(made)
        try:
            os.fchown(directory, owner, owner)
            for name, content in contents.items():
                _write(directory, name, content, owner)
        finally:
            os.close(directory)
    except BaseException:
        os.close(made)
        raise
    return made


def give(descriptors: Descriptors, name: str, user: str, group: str) -> None:
    """To the payload's user, and for good: nobody writes there any more."""
    uid, gid, _ = accounts.look_up(user, group)
    directory = _open(descriptors[name])
    try:
        for file in os.listdir(directory):
            os.chown(file, uid, gid, dir_fd=directory, follow_symlinks=False)
        os.fchown(directory, uid, gid)
        os.fchmod(directory, 0o500)
    finally:
        os.close(directory)
    mount.set_attributes(descriptors[name], _WALLS | c.MOUNT_ATTR_RDONLY)


def _open(made: int) -> int:
    return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=made)


def _write(directory: int, name: str, content: bytes, owner: int) -> None:
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400, dir_fd=directory)
    with os.fdopen(descriptor, "wb") as file:
        os.fchown(descriptor, owner, owner)
        file.write(content)
