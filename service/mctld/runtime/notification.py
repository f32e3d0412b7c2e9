# SPDX-License-Identifier: GPL-3.0-or-later
"""A socket for sd_notify(3) that nobody finds but the container that it is for, and what is said there."""

from __future__ import annotations

import contextlib
import os
import socket
import struct

from ..kernel import constants as c
from ..kernel import handed, mount

MESSAGE_MAX = 4096
DESCRIPTORS_MAX = 253  # SCM_MAX_FD
SCM_CREDENTIALS = 2  # linux/socket.h; Python's socket module has it from 3.13 on
_CREDENTIALS = struct.Struct("3i")  # struct ucred
_ROOM = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(DESCRIPTORS_MAX * 4)
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


def hear(channel: socket.socket) -> tuple[bytes, int, int] | None:
    """The next message, and pid and uid of who has sent it; None where it was cut off. Raises OSError.

    A descriptor that comes along is closed: sd_notify_barrier(3) waits for that.
    """
    message, ancillary, flags, _ = channel.recvmsg(MESSAGE_MAX, _ROOM, socket.MSG_CMSG_CLOEXEC)
    pid, uid = 0, -1
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SCM_CREDENTIALS:
            pid, uid, _ = _CREDENTIALS.unpack(data)
        elif level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            handed.close(each for (each,) in struct.iter_unpack("i", data[: len(data) - len(data) % 4]))
    return None if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC) else (message, pid, uid)


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
