# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes of the host's devices, made for one container: what it does to their modes and owners is its own affair."""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack
from typing import TYPE_CHECKING

from ..errors import SetupFailed
from ..kernel import constants as c
from ..kernel import mount

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..device import Device


def make(place: str, devices: Sequence[Device], owner: int) -> list[int]:
    """Detached mounts of one node each, owned by `owner`. Attaches something to `place` for a moment.

    Not the host's own nodes: those belong to ids that a container does not have, and devtmpfs offers no idmapped
    mounts. A user namespace cannot make nodes, so we do, in a tmpfs of the initial one.
    """
    with ExitStack() as undo:
        made = mount.new_filesystem(
            "tmpfs", {"mode": "700", "size": "64k", "nr_inodes": "64"}, c.MOUNT_ATTR_NOSUID | c.MOUNT_ATTR_NOEXEC
        )
        undo.callback(os.close, made)
        mount.attach_at(made, place)
        undo.callback(mount.umount, place, c.MNT_DETACH)
        on_failure = undo.enter_context(ExitStack())
        nodes = []
        for number, device in enumerate(devices):
            nodes.append(_node(f"{place}/{number}", device, owner))
            on_failure.callback(os.close, nodes[-1])
        on_failure.pop_all()
        return nodes


def _node(path: str, device: Device, owner: int) -> int:
    check(device)
    mode = 0o444 * ("r" in device.permissions) | 0o222 * ("w" in device.permissions)
    os.mknod(path, (stat.S_IFBLK if device.block else stat.S_IFCHR) | mode, os.makedev(device.major, device.minor))
    os.chmod(path, mode)  # whatever our umask is
    os.chown(path, owner, owner)
    node = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return mount.clone_tree(node)
    finally:
        os.close(node)


def check(device: Device) -> None:
    """SetupFailed where another device than the authorized one is at its path now."""
    try:
        found = os.stat(device.path, follow_symlinks=False)
    except OSError as error:
        raise SetupFailed(f"give the device {device.path}", error.strerror) from error
    kind = stat.S_ISBLK(found.st_mode) if device.block else stat.S_ISCHR(found.st_mode)
    if not kind or found.st_rdev != os.makedev(device.major, device.minor):
        raise SetupFailed(
            f"give the device {device.path}",
            f"it is no longer {device.major}:{device.minor}, which was authorized: `mctl update` gives it anew",
        )
