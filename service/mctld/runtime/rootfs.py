# SPDX-License-Identifier: GPL-3.0-or-later
"""A container's root file system: a writable layer over a read-only directory, as one detached mount.

The lower layer is idmapped to the container's ids while the upper layer keeps the shifted ids on disk, so
that no file of root's lies there, set-user-ID ones least of all.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

from ..errors import NoSuchRootfs
from ..kernel import constants as c
from ..kernel import files, mount, process
from . import nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..device import Device
    from ..mounts import HostPath
    from ..spec import Rootfs

FSCONFIG_MAX = 256
PLACES = 500  # the kernel's own bound of layers, OVL_MAX_STACK
THREADS = 16  # one at work is the rule; what has remote layers may wait for these, and nobody else for that


@functools.cache
def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def open_lower(rootfs: Rootfs) -> int:
    """The directory that was authorized, or NoSuchRootfs: a path can be made to lead elsewhere."""
    return open_pinned(rootfs, what="root directory", flags=os.O_DIRECTORY)


def open_pinned(pinned: HostPath, *, what: str = "path", flags: int = 0) -> int:
    """The very file or directory that was authorized, with O_PATH."""
    another = NoSuchRootfs(
        f"{what} {pinned.path!r} is no longer the one the container was made from: make the container anew"
    )
    same_boot = pinned.boot == boot_id()  # before anything is open that would have to be closed
    try:  # the path had no link in it when it was read off the descriptor
        descriptor = files.openat2(c.AT_FDCWD, pinned.path, os.O_PATH | flags, c.RESOLVE_NO_SYMLINKS)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise another from error
        reason = os.strerror(error.errno or 0)
        raise NoSuchRootfs(f"{what} {pinned.path!r} cannot be opened: {reason}") from error
    found = os.fstat(descriptor)
    moved = same_boot and found.st_dev != pinned.device
    if moved or found.st_ino != pinned.inode:
        os.close(descriptor)
        raise another
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
    """Builds overlays in threads that each have a mount namespace: one more is made where all others are at work.

    Until Linux 6.15 a layer of an overlay must be attached somewhere; nobody else shall see it there.
    """

    def __init__(self, directory: str) -> None:
        os.makedirs(directory, 0o700, exist_ok=True)
        self._directory = directory
        self._threads = ThreadPoolExecutor(THREADS, "staging", self._enter)

    def _enter(self) -> None:
        process.unshare(c.CLONE_NEWNS)  # for this thread alone: it implies CLONE_FS
        mount.set_propagation("/", c.MS_REC | c.MS_SLAVE)

    def overlay(self, lowers: Sequence[int], directory: str, *, volatile: bool) -> int:
        """Blocks for about a millisecond. `lowers`, the topmost first, are detached mounts; so is what returns."""
        return self._threads.submit(self._overlay, lowers, directory, volatile=volatile).result()

    def _overlay(self, lowers: Sequence[int], directory: str, *, volatile: bool) -> int:
        """The container can read the names given here in its mount table: they shall tell nothing of the host."""
        assert threading.current_thread() is not threading.main_thread()
        with ExitStack() as undo:
            undo.callback(os.chdir, "/")
            os.chdir(directory)
            if volatile:
                _forget_volatile()
            layers = [self._attach(lower, number, undo) for number, lower in enumerate(lowers)]
            return self._mount(_options(layers, volatile=volatile))

    def _attach(self, lower: int, number: int, undo: ExitStack) -> str:
        """A name for the layer that leads to it."""
        place = self._place(number)
        mount.attach_at(lower, place)
        undo.callback(mount.umount, place, c.MNT_DETACH)
        top = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        undo.callback(os.close, top)
        return f"/proc/self/fd/{top}"

    def _place(self, number: int) -> str:
        place = f"{self._directory}/{number}"
        os.makedirs(place, 0o700, exist_ok=True)
        return place

    def device_nodes(self, devices: Sequence[Device], owner: int) -> list[int]:
        """Blocks as overlay() does; see nodes.make()."""
        return self._threads.submit(nodes.make, self._place(0), devices, owner).result()

    def _mount(self, options: dict[str, str | None]) -> int:
        """fsconfig(2) takes values of 255 bytes, mount(2) a page of options in all: 128 layers need the latter."""
        if all(len(value or "") < FSCONFIG_MAX for value in options.values()):
            return mount.new_filesystem("overlay", options, c.MOUNT_ATTR_NODEV)
        place = self._place(PLACES)
        mount.mount_at("overlay", place, options, c.MS_NODEV)
        try:
            descriptor = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                return mount.clone_tree(descriptor)
            finally:
                os.close(descriptor)
        finally:
            mount.umount(place, c.MNT_DETACH)

    def close(self) -> None:
        self._threads.shutdown()


def _forget_volatile() -> None:
    """What a start that failed has left: the kernel takes no layer a second time that may not have reached the disk.

    Nothing was lost, since the host has not crashed: the container has never run (overlayfs.rst, Volatile mount).
    """
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree("work/work/incompat")


def _options(lowers: Sequence[str], *, volatile: bool) -> dict[str, str | None]:
    """No path of a caller's is among them: nothing needs quoting."""
    options: dict[str, str | None] = {
        "lowerdir": ":".join(lowers),
        "upperdir": "upper",
        "workdir": "work",
    }
    if volatile:  # its layers go with the container: nothing needs to reach the disk
        options["volatile"] = None
    return options


def lower_mount(lower: int, user_namespace: int | None) -> int:
    """A detached, read-only, idmapped view of the directory."""
    tree = mount.clone_tree(lower)
    try:
        mount.set_attributes(tree, c.MOUNT_ATTR_RDONLY | c.MOUNT_ATTR_NODEV, user_namespace)
    except OSError:
        os.close(tree)
        raise
    return tree


def sysfs_of(network: int) -> int:
    """A detached sysfs of this network namespace, without what anybody has mounted in theirs.

    Made by a thread that ends in that namespace.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_enter_and_mount_sysfs, network).result()


def _enter_and_mount_sysfs(network: int) -> int:
    process.enter_namespaces(network, c.CLONE_NEWNET)
    quiet = c.MOUNT_ATTR_NOSUID | c.MOUNT_ATTR_NODEV | c.MOUNT_ATTR_NOEXEC
    return mount.new_filesystem("sysfs", {}, quiet | c.MOUNT_ATTR_RDONLY)


def host_mount(source: int, user_namespace: int | None, *, read_only: bool, recursive: bool) -> int:
    """A detached, idmapped mount of what `source` has open, without set-user-ID and device files in force."""
    tree = mount.clone_tree(source, recursive=recursive)
    attributes = c.MOUNT_ATTR_NOSUID | c.MOUNT_ATTR_NODEV | (c.MOUNT_ATTR_RDONLY if read_only else 0)
    try:
        mount.set_attributes(tree, attributes, user_namespace, recursive=recursive)
    except OSError:
        os.close(tree)
        raise
    return tree
