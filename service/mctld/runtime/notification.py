# SPDX-License-Identifier: GPL-3.0-or-later
"""A socket for sd_notify(3) that nobody finds but the container that it is for."""

from __future__ import annotations

import contextlib
import os
import socket

from ..kernel import constants as c
from ..kernel import mount

_SHOWN = c.MOUNT_ATTR_NOSUID | c.MOUNT_ATTR_NODEV | c.MOUNT_ATTR_NOEXEC | c.MOUNT_ATTR_RDONLY


SUFFIX = ".notify"


def sweep(directory: str) -> None:
    """What starts have left that were cut off."""
    for name in os.listdir(directory):
        if name.endswith(SUFFIX):
            os.unlink(f"{directory}/{name}")


def open_socket(place: str) -> tuple[socket.socket, int]:
    """Bound, and a detached mount of it. The caller removes the name, `place`, when the mount has been attached: the
    kernel attaches nothing that has none, and needs none afterwards.

    The inode is root's and cannot be written to by its owner inside, where nobody has that id; who may connect is
    whoever sees it.
    """
    with contextlib.suppress(FileNotFoundError):  # of a service that was killed in that moment
        os.unlink(place)
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        channel.bind(place)
        os.chmod(place, 0o666)
        return channel, _shown(place)
    except BaseException:
        channel.close()
        raise


def _shown(place: str) -> int:
    found = os.open(place, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        tree = mount.clone_tree(found)
    finally:
        os.close(found)
    try:
        mount.set_attributes(tree, _SHOWN)
    except OSError:
        os.close(tree)
        raise
    return tree
