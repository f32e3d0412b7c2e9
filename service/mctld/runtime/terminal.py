# SPDX-License-Identifier: GPL-3.0-or-later
"""The container's own terminal: a pair of its own devpts, none of the host's.

The peer comes out of the master, TIOCGPTPEER of ioctl_tty(2), and what is mounted is that descriptor: by path an image
or a volume could lead elsewhere (CVE-2025-52565). The master goes up to the service; nothing of the caller's terminal
comes in, so that no ioctl in here can reach it (CVE-2017-5226).
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys

from ..kernel import constants as c
from ..kernel import files, mount
from . import accounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .stage import Descriptors

NAME = "terminal"
POINTS = "/dev/pts"
CONSOLE = "console"
_KEPT = -1  # chown(2): the group stays the one that devpts gives


def open_terminal(descriptors: Descriptors, rows: int, columns: int, *, console: bool) -> None:
    """Makes the pair; the master goes up, the peer stays here, and if there is to be a console a mount of it."""
    points = files.open_plain(descriptors.root, POINTS, os.O_PATH | os.O_DIRECTORY)
    try:
        if files.filesystem_type(points) != c.DEVPTS_SUPER_MAGIC:
            raise OSError(errno.ENOTTY, "not a devpts file system", POINTS)
        master = os.open("ptmx", os.O_RDWR | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=points)
    finally:
        os.close(points)
    fcntl.ioctl(master, c.TIOCSPTLCK, bytes(4))
    resize(master, rows, columns)
    peer = open_peer(master)
    descriptors.hand_up(NAME, master)
    os.close(master)
    descriptors.keep(NAME, peer)
    if console:
        descriptors.keep(CONSOLE, mount.clone_tree(peer))


def take_terminal(descriptors: Descriptors, user: str, group: str) -> None:
    """The session that we lead gets it as its controlling terminal and as its standard descriptors."""
    peer = descriptors[NAME]
    uid, _, _ = accounts.look_up(user, group)
    os.fchown(peer, uid, _KEPT)
    fcntl.ioctl(peer, c.TIOCSCTTY, 0)
    for number in range(3):
        os.dup2(peer, number, inheritable=True)


def open_peer(master: int) -> int:
    """The other side of it, for the one who holds the master."""
    return fcntl.ioctl(master, c.TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def resize(master: int, rows: int, columns: int) -> None:
    """The foreground process group hears of it by SIGWINCH, if it is a change."""
    fcntl.ioctl(master, c.TIOCSWINSZ, _window(rows, columns))


def _window(rows: int, columns: int) -> bytes:
    """struct winsize; the two in pixels are not known."""
    return b"".join(number.to_bytes(2, sys.byteorder) for number in (rows, columns, 0, 0))
