# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose a container's cgroup is: config-linux.md#cgroup-ownership, for an init inside that makes groups of its own."""

from __future__ import annotations

import os

from ...kernel import constants as c
from ..mounts import CGROUP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..configuration import Configuration

PLACE = "/sys/fs/cgroup"
DELEGATED = "/sys/kernel/cgroup/delegate"  # cgroups(7)
FALLBACK = ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads")


def owner(asked: Configuration) -> int | None:
    """The host's uid of the user inside, if the hierarchy is theirs to write to; None: whoever has made it."""
    writable = any(
        mount.kind in CGROUP and mount.target == PLACE and not mount.options.added & c.MOUNT_ATTR_RDONLY
        for mount in asked.mounts
    )
    if asked.process is None or "cgroup" not in asked.namespaces.new or not writable:
        return None
    if not asked.has_user_namespace():
        return asked.process.uid or None
    return _of_host(asked.process.uid, asked.maps.uids if asked.maps else "")


def _of_host(uid: int, lines: str) -> int | None:
    """By lines of a uid_map, user_namespaces(7). Of a namespace that is entered nobody has told them."""
    for line in lines.splitlines():
        inside, outside, count = map(int, line.split())
        if inside <= uid < inside + count:
            return outside + uid - inside
    return None


def give(directory: str, uid: int) -> None:
    """The directory and the files that the kernel names; not those by which limits could be raised."""
    os.chown(directory, uid, -1)
    for name in _delegated():
        try:
            os.chown(f"{directory}/{name}", uid, -1)
        except FileNotFoundError:  # of a controller that is not there
            continue


def _delegated() -> tuple[str, ...]:
    try:
        with open(DELEGATED, encoding="utf-8") as file:
            return tuple(file.read().split())
    except FileNotFoundError:
        return FALLBACK
