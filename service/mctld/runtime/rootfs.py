# SPDX-License-Identifier: GPL-3.0-or-later
"""A container's root file system: a writable layer over a read-only directory, as one detached mount.

The lower layer is idmapped to the container's ids while the upper layer keeps the shifted ids on disk, so
that no file of root's lies there, set-user-ID ones least of all.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ..errors import NoSuchRootfs
from ..kernel import constants as c
from ..kernel import mount, process

if TYPE_CHECKING:
    from ..spec import Rootfs


def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def open_lower(rootfs: Rootfs) -> int:
    """The directory that was authorized, or NoSuchRootfs: a path can be made to lead elsewhere."""
    same_boot = rootfs.boot == boot_id()
    try:
        descriptor = os.open(rootfs.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise NoSuchRootfs(f"root directory {rootfs.path!r} cannot be opened: {error.strerror}") from error
    found = os.fstat(descriptor)
    moved = same_boot and found.st_dev != rootfs.device
    if moved or found.st_ino != rootfs.inode:
        os.close(descriptor)
        raise NoSuchRootfs(
            f"root directory {rootfs.path!r} is no longer the one the container was made from: make the container anew"
        )
    return descriptor


def make_layers(directory: str, lower: int, shift: int, *, owned: bool) -> None:
    """`upper` and `work` below `directory`; the root shows the mode and, unless `owned`, the owner of the lower one."""
    upper, work = f"{directory}/upper", f"{directory}/work"
    if os.path.isdir(upper):
        return
    os.makedirs(work, 0o700, exist_ok=True)
    made = f"{directory}/upper.new"
    os.makedirs(made, 0o700, exist_ok=True)
    like = os.fstat(lower)
    os.chown(made, shift + (0 if owned else like.st_uid), shift + (0 if owned else like.st_gid))
    os.chmod(made, like.st_mode & 0o7777)
    os.rename(made, upper)


class Staging:
    """Builds overlays in a mount namespace of its own, in a thread of its own.

    Until Linux 6.15 a layer of an overlay must be attached somewhere; nobody else shall see it there.
    """

    def __init__(self, directory: str) -> None:
        os.makedirs(directory, 0o700, exist_ok=True)
        self._directory = directory
        self._thread = ThreadPoolExecutor(1, "staging", self._enter)

    def _enter(self) -> None:
        process.unshare(c.CLONE_NEWNS)  # for this thread alone: it implies CLONE_FS
        mount.set_propagation("/", c.MS_REC | c.MS_SLAVE)

    def overlay(self, lower: int, directory: str, *, volatile: bool) -> int:
        """Blocks for about a millisecond. `lower` is a detached mount; so is what returns."""
        return self._thread.submit(self._overlay, lower, directory, volatile=volatile).result()

    def _overlay(self, lower: int, directory: str, *, volatile: bool) -> int:
        assert threading.current_thread() is not threading.main_thread()
        place = os.open(self._directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            mount.attach(lower, place)
        finally:
            os.close(place)
        try:
            return mount.new_filesystem("overlay", self._options(directory, volatile=volatile), c.MOUNT_ATTR_NODEV)
        finally:
            mount.umount(self._directory, c.MNT_DETACH)

    def _options(self, directory: str, *, volatile: bool) -> dict[str, str | None]:
        options: dict[str, str | None] = {
            "lowerdir": self._directory,
            "upperdir": f"{directory}/upper",
            "workdir": f"{directory}/work",
        }
        if volatile:  # its layers go with the container: nothing needs to reach the disk
            options["volatile"] = None
        return options

    def close(self) -> None:
        self._thread.shutdown()


def lower_mount(lower: int, user_namespace: int) -> int:
    """A detached, read-only, idmapped view of the directory."""
    tree = mount.clone_tree(lower)
    try:
        mount.set_attributes(tree, c.MOUNT_ATTR_RDONLY | c.MOUNT_ATTR_NODEV, user_namespace)
    except OSError:
        os.close(tree)
        raise
    return tree
