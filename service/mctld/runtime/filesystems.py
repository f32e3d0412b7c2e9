# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stage mounts, every target opened below the root descriptor and never by string."""

from __future__ import annotations

import errno
import os
import stat

from ..kernel import constants as c
from ..kernel import files, mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .stage import Descriptors

_DIRECTORY = os.O_PATH | os.O_DIRECTORY
# mounts.KEPT: nothing may lie on them, nor, where True, on anything of theirs
_WALLS = (("/", False), ("/dev", False), ("/proc", True), ("/sys", True), ("/dev/pts", True), ("/dev/mqueue", True))
_CHANGED_PLACES = str.maketrans("./", "/.")


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


def open_directory(root: int, path: str) -> int:
    """The plain directory at `path`, made where missing; a symlink anywhere is refused (CVE-2026-47766)."""
    try:
        return files.open_plain(root, path, _DIRECTORY)
    except FileNotFoundError:
        parent = open_directory(root, os.path.dirname(path))
    try:
        os.mkdir(os.path.basename(path), 0o755, dir_fd=parent)
    finally:
        os.close(parent)
    return files.open_plain(root, path, _DIRECTORY)


def open_place(root: int, path: str, *, directory: bool, replace: bool = False) -> int:
    """Where something is to be mounted, made where missing. Links are followed, but never out of the root.

    A link that leads nowhere is an error, or, with `replace`, gives way in the container's own layer.
    """
    kind = os.O_PATH | (os.O_DIRECTORY if directory else 0)
    try:
        return files.open_in_root(root, path, kind)
    except FileNotFoundError:
        parent = open_place(root, os.path.dirname(path), directory=True)
    name = os.path.basename(path)
    try:
        if replace and _is_link(parent, name):
            os.unlink(name, dir_fd=parent)
        if directory:
            os.mkdir(name, 0o755, dir_fd=parent)
        else:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=parent))
        return files.open_plain(parent, name, kind)
    except FileExistsError:
        raise FileNotFoundError(2, "a symbolic link that leads nowhere", path) from None
    finally:
        os.close(parent)


def _refuse_walls(root: int, place: int, path: str) -> None:
    """The path names none of them, but the image may have a link that leads to one: what lies there must stay."""
    found = os.fstat(place)
    for wall, whole in _WALLS:
        opened = files.open_plain(root, wall, _DIRECTORY)
        kept = os.fstat(opened)
        os.close(opened)
        if found.st_dev == kept.st_dev and (whole or found.st_ino == kept.st_ino):
            raise OSError(errno.EPERM, f"leads to {wall}, which the container's walls stand on", path)


def _is_link(directory: int, name: str) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def mount_filesystem(
    descriptors: Descriptors,
    kind: str,
    target: str,
    options: Mapping[str, str | None],
    attributes: int,
    follow: bool = False,  # noqa: FBT001, FBT002  an argument of a step
) -> None:
    """`follow`: the target is a place that the user chose, where an image may have links; else these are refused."""
    made = mount.new_filesystem(kind, dict(options), attributes, source=kind)
    try:
        root = descriptors["root"]
        place = open_place(root, target, directory=True) if follow else open_directory(root, target)
        try:
            if follow:
                _refuse_walls(root, place, target)
            mount.attach(made, place)
        finally:
            os.close(place)
    finally:
        os.close(made)


def bind(descriptors: Descriptors, name: str, target: str, replace: bool = False) -> None:  # noqa: FBT001, FBT002
    """Show the mount that the descriptor `name` holds, where the user chose or, with `replace`, in a place of ours."""
    directory = stat.S_ISDIR(os.fstat(descriptors[name]).st_mode)
    place = open_place(descriptors["root"], target, directory=directory, replace=replace)
    try:
        if not replace:
            _refuse_walls(descriptors["root"], place, target)
        mount.attach(descriptors[name], place)
    finally:
        os.close(place)


def set_sysctl(descriptors: Descriptors, name: str, value: str) -> None:
    """On the procfs just mounted, before it becomes read-only.

    If the first separator is a dot, dots and slashes change places: net.ipv4.conf.eth0/1.forwarding, sysctl.d(5).
    """
    dotted = "." in name.partition("/")[0]
    path = "/proc/sys/" + (name.translate(_CHANGED_PLACES) if dotted else name)
    opened = files.open_plain(descriptors["root"], path, os.O_WRONLY)
    try:
        os.write(opened, value.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from error
    finally:
        os.close(opened)


def make_root_read_only(descriptors: Descriptors) -> None:
    mount.set_attributes(descriptors["root"], c.MOUNT_ATTR_RDONLY)


def bind_device(descriptors: Descriptors, source: str, target: str) -> None:
    """Show a character device of the host, or by its descriptor's name a node that was made for the container."""
    tree = _host_device(source) if source.startswith("/") else descriptors[source]
    parent = open_directory(descriptors["root"], os.path.dirname(target))
    name = os.path.basename(target)
    os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=parent))
    place = files.open_plain(parent, name, os.O_PATH)
    mount.attach(tree, place)
    for descriptor in (tree, parent, place):
        os.close(descriptor)


def _host_device(path: str) -> int:
    """A detached mount of it: a user namespace may not make device nodes.

    It is the host's own node. On a read-only mount the device can be written to, its owner and mode cannot be changed.
    """
    device = os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        if not stat.S_ISCHR(os.fstat(device).st_mode):
            raise OSError(19, "not a character device", path)
        tree = mount.clone_tree(device)
    finally:
        os.close(device)
    mount.set_attributes(tree, c.MOUNT_ATTR_RDONLY | c.MOUNT_ATTR_NOSUID | c.MOUNT_ATTR_NOEXEC)
    return tree


def make_symlink(descriptors: Descriptors, target: str, points_to: str) -> None:
    parent = files.open_plain(descriptors["root"], os.path.dirname(target), _DIRECTORY)
    try:
        os.symlink(points_to, os.path.basename(target), dir_fd=parent)
    finally:
        os.close(parent)
