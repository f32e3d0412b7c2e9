# SPDX-License-Identifier: GPL-3.0-or-later
"""What of /proc and /sys a container shall not see, and what it shall not change.

What covers a path comes from the host's own nodes and from file systems made here, never from the container's root:
an image could have laid a symbolic link there (CVE-2025-31133).
"""

from __future__ import annotations

import os
import stat

from ..kernel import constants as c
from ..kernel import files, mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .stage import Descriptors

NULL_DEVICE = os.makedev(1, 3)
_NODE = c.MOUNT_ATTR_RDONLY | c.MOUNT_ATTR_NOSUID | c.MOUNT_ATTR_NOEXEC  # it is the host's: nobody shall chmod it
_COVER = c.MOUNT_ATTR_RDONLY | c.MOUNT_ATTR_NOSUID | c.MOUNT_ATTR_NODEV | c.MOUNT_ATTR_NOEXEC


def make_read_only(descriptors: Descriptors, paths: list[str]) -> None:
    """Each path that exists becomes a read-only mount of itself."""
    for target in existing(descriptors["root"], paths):
        tree = mount.clone_tree(target)
        mount.set_attributes(tree, _COVER)
        mount.attach(tree, target)
        os.close(tree)


def hide(descriptors: Descriptors, paths: list[str]) -> None:
    """Files become the null device, directories an empty one; what this kernel does not have is left out."""
    first: dict[bool, int] = {}  # the cover of a directory and that of a file; others of its kind are copies of it
    for target in existing(descriptors["root"], paths):
        directory = stat.S_ISDIR(os.fstat(target).st_mode)
        if directory in first:
            cover = mount.clone_tree(first[directory])
            mount.attach(cover, target)
            os.close(cover)
        else:
            first[directory] = _empty_directory() if directory else _null()
            mount.attach(first[directory], target)
    for cover in first.values():
        os.close(cover)


def _null() -> int:
    null = open_null()
    cover = mount.clone_tree(null)
    os.close(null)
    mount.set_attributes(cover, _NODE)
    return cover


def open_null() -> int:
    """The host's /dev/null, and nothing that calls itself so."""
    null = os.open("/dev/null", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    found = os.fstat(null)
    if not stat.S_ISCHR(found.st_mode) or found.st_rdev != NULL_DEVICE:
        raise OSError(19, "not the null device", "/dev/null")
    return null


def _empty_directory() -> int:
    return mount.new_filesystem("tmpfs", {"mode": "0555", "size": "4k", "nr_inodes": "2"}, _COVER, source="tmpfs")


def existing(root: int, paths: list[str]) -> Iterator[int]:
    for path in paths:
        for found in _expanded(root, path):
            try:
                target = files.open_plain(root, found, os.O_PATH)
            except FileNotFoundError:
                continue
            yield target
            os.close(target)


def _expanded(root: int, path: str) -> list[str]:
    """A * as the end of a component stands for digits: one for each processor."""
    before, star, after = path.partition("*")
    if not star:
        return [path]
    directory, prefix = os.path.split(before)
    try:
        opened = files.open_plain(root, directory, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return []
    try:
        names = os.listdir(opened)
    finally:
        os.close(opened)
    wanted = [name for name in names if name.startswith(prefix) and name[len(prefix) :].isdigit()]
    return [f"{directory}/{name}{after}" for name in wanted]
