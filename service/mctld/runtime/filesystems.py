# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stage mounts, every target opened below the root descriptor and never by string."""

from __future__ import annotations

import os
import stat

from ..kernel import constants as c
from ..kernel import files, mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .stage import Descriptors

_DIRECTORY = os.O_PATH | os.O_DIRECTORY


def attach_root(descriptors: Descriptors) -> None:
    """Lay the root over our copy of the host's tree; pivot() then lets go of what is below."""
    mount.set_propagation("/", c.MS_REC | c.MS_PRIVATE)
    mount.attach_at(descriptors["root"], "/")
    os.fchdir(descriptors["root"])


def pivot(_: Descriptors) -> None:
    """pivot_root(2) with new and old the same: the old root ends up on top and is let go."""
    mount.pivot_root(".", ".")
    mount.umount(".", c.MNT_DETACH)
    os.chdir("/")


def _open_directory(root: int, path: str) -> int:
    """The plain directory at `path`, made where missing; a symlink anywhere is refused (CVE-2026-47766)."""
    try:
        return files.open_plain(root, path, _DIRECTORY)
    except FileNotFoundError:
        parent = _open_directory(root, os.path.dirname(path))
    try:
        os.mkdir(os.path.basename(path), 0o755, dir_fd=parent)
    finally:
        os.close(parent)
    return files.open_plain(root, path, _DIRECTORY)


def mount_filesystem(
    descriptors: Descriptors, kind: str, target: str, options: Mapping[str, str | None], attributes: int
) -> None:
    made = mount.new_filesystem(kind, dict(options), attributes, source=kind)
    try:
        place = _open_directory(descriptors["root"], target)
        try:
            mount.attach(made, place)
        finally:
            os.close(place)
    finally:
        os.close(made)


def bind_device(descriptors: Descriptors, source: str, target: str) -> None:
    """Show a character device of the host: a user namespace may not make device nodes."""
    device = os.open(source, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
    if not stat.S_ISCHR(os.fstat(device).st_mode):
        raise OSError(19, "not a character device", source)
    tree = mount.clone_tree(device)
    parent = files.open_plain(descriptors["root"], os.path.dirname(target), _DIRECTORY)
    name = os.path.basename(target)
    os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=parent))
    place = files.open_plain(parent, name, os.O_PATH)
    mount.attach(tree, place)
    for descriptor in (device, tree, parent, place):
        os.close(descriptor)


def make_symlink(descriptors: Descriptors, target: str, points_to: str) -> None:
    parent = files.open_plain(descriptors["root"], os.path.dirname(target), _DIRECTORY)
    try:
        os.symlink(points_to, os.path.basename(target), dir_fd=parent)
    finally:
        os.close(parent)
