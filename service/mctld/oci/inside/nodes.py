# SPDX-License-Identifier: GPL-3.0-or-later
"""Device nodes, links and the console, in a /dev that may be the image's own: no link on the way is followed.

crun 1.21 and runc 1.1.15 follow a rootfs/dev that is a symbolic link (CVE-2026-47766, CVE-2026-41579).
"""

from __future__ import annotations

import errno
import os
import stat

from ...kernel import constants as c
from ...kernel import files, mount
from ...runtime import filesystems
from ...runtime.terminal import CONSOLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...runtime.stage import Descriptors

KINDS = {"c": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}
MODE = 0o666
_SHOWN = c.MOUNT_ATTR_RDONLY | c.MOUNT_ATTR_NOSUID | c.MOUNT_ATTR_NOEXEC  # the host's node: nobody shall chmod it


def make_device(
    descriptors: Descriptors, path: str, kind: str, numbers: tuple[int, int], mode: int | None, owner: tuple[int, int]
) -> None:
    """Where nodes cannot be made, as in a user namespace, the host's own node of that path is shown."""
    directory, name = os.path.split(path)
    parent = filesystems.open_directory(descriptors["root"], directory)
    try:
        if not _is_there(parent, name, path, kind, numbers) and not _made(parent, name, kind, numbers, mode, owner):
            _show(parent, name, path, kind, numbers)
    finally:
        os.close(parent)


def _is_there(parent: int, name: str, path: str, kind: str, numbers: tuple[int, int]) -> bool:
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if not _matches(found, kind, numbers):
        raise FileExistsError(errno.EEXIST, "another file is there already", path)
    return True


def _matches(found: os.stat_result, kind: str, numbers: tuple[int, int]) -> bool:
    same = kind == "p" or found.st_rdev == os.makedev(*numbers)
    return stat.S_IFMT(found.st_mode) == KINDS[kind] and same


def _made(
    parent: int, name: str, kind: str, numbers: tuple[int, int], mode: int | None, owner: tuple[int, int]
) -> bool:
    before = os.umask(0)
    try:
        os.mknod(name, KINDS[kind] | (MODE if mode is None else mode), os.makedev(*numbers), dir_fd=parent)
    except PermissionError:
        return False
    finally:
        os.umask(before)
    os.chown(name, *owner, dir_fd=parent, follow_symlinks=False)
    return _can_be_opened(parent, name, kind)


def _can_be_opened(parent: int, name: str, kind: str) -> bool:
    """A node that a user namespace has made is dead: the file system belongs to it (SB_I_NODEV)."""
    if kind == "p":
        return True
    try:
        os.close(os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent))
    except PermissionError:
        with open("/proc/self/uid_map") as file:
            if file.read().split() == ["0", "0", "4294967295"]:
                return True
        os.unlink(name, dir_fd=parent)
        return False
    except OSError:
        pass  # no such driver, no medium: the node itself is good
    return True


def _show(parent: int, name: str, path: str, kind: str, numbers: tuple[int, int]) -> None:
    device = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not _matches(os.fstat(device), kind, numbers):
            raise OSError(errno.ENODEV, f"the host's is not {kind} {numbers[0]}:{numbers[1]}", path)
        tree = mount.clone_tree(device)
    finally:
        os.close(device)
    mount.set_attributes(tree, _SHOWN)
    _attach(tree, parent, name)
    os.close(tree)


def _attach(tree: int, parent: int, name: str) -> None:
    _make_file(parent, name)
    place = files.open_plain(parent, name, os.O_PATH)
    mount.attach(tree, place)
    os.close(place)


def _make_file(parent: int, name: str) -> None:
    try:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=parent))
    except FileExistsError:
        return  # if it is a link, it is refused where it is opened


def make_link(descriptors: Descriptors, target: str, points_to: str) -> None:
    """What an image has there already is left alone, but for /dev/ptmx, which would be the host's."""
    directory, name = os.path.split(target)
    parent = filesystems.open_directory(descriptors["root"], directory)
    try:
        if name == "ptmx":
            _remove_file(parent, name)
        os.symlink(points_to, name, dir_fd=parent)
    except FileExistsError:
        return
    finally:
        os.close(parent)


def _remove_file(parent: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return


def show_console(descriptors: Descriptors) -> None:
    """The terminal's descriptor on /dev/console (CVE-2025-52565)."""
    parent = filesystems.open_directory(descriptors["root"], "/dev")
    try:
        _attach(descriptors[CONSOLE], parent, "console")
    finally:
        os.close(parent)
