# SPDX-License-Identifier: GPL-3.0-or-later
"""The root and what is mounted below it: every target opened below the root's descriptor, never by string.

Links in a bundle lead nowhere but below its root (CVE-2021-30465), and for /proc, /sys and /dev none is followed at
all (CVE-2019-19921, CVE-2026-47766).
"""

from __future__ import annotations

import errno
import os
import stat

from ...kernel import constants as c
from ...kernel import files, mount
from ...runtime import filesystems, masks
from . import copying

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...runtime.stage import Descriptors

FSCONFIG_MAX = 255  # bytes of a value, fsconfig(2)
PLAIN = ("/proc", "/sys", "/dev")
# Files of procfs that tools such as lxcfs replace; everything else of it stays the kernel's (CVE-2019-16884).
REPLACEABLE = (
    "/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat", "/proc/swaps", "/proc/uptime", "/proc/loadavg",
    "/proc/slabinfo", "/proc/net/dev", "/proc/sys/kernel/ns_last_pid", "/proc/sys/crypto/fips_enabled",
)  # fmt: skip


def attach_root(descriptors: Descriptors, path: str) -> None:
    """At the place of the bundle's root, where hooks look for it; where we may not go there, over our copy of /."""
    mount.set_propagation("/", c.MS_REC | c.MS_PRIVATE)
    try:
        mount.attach_at(descriptors["root"], path)
    except PermissionError:
        mount.attach_at(descriptors["root"], "/")
    os.fchdir(descriptors["root"])


def mount_filesystem(
    descriptors: Descriptors,
    kind: str,
    source: str,
    target: str,
    data: list[tuple[str, str | None]],
    added: int,
    propagation: int,
    *,
    copy_up: bool,
) -> None:
    place = open_target(descriptors, target, directory=True)
    try:
        if any(len(os.fsencode(text or "")) > FSCONFIG_MAX for _, text in data):
            made = _mounted_over(place, kind, data, added)
        else:
            made = mount.new_filesystem(kind, dict(data), added, source=source)
        if copy_up:
            copying.copy(place, made)
        _set_propagation(made, propagation)
        mount.attach(made, place)
        os.close(made)
    finally:
        os.close(place)


def _mounted_over(place: int, kind: str, data: list[tuple[str, str | None]], added: int) -> int:
    """By mount(2), which takes a page of options where fsconfig(2) takes 255 bytes, and detached again."""
    path = f"/proc/self/fd/{place}"
    mount.mount_at(kind, path, dict(data), 0)
    try:
        top = files.openat2(place, f"../{os.path.basename(os.readlink(path))}", os.O_PATH, c.RESOLVE_NO_SYMLINKS)
        made = mount.clone_tree(top)
        os.close(top)
    finally:
        mount.umount(path, c.MNT_DETACH)
    mount.change_attributes(made, added)
    return made


def bind(descriptors: Descriptors, name: str, target: str) -> None:
    """Show the detached mount that the descriptor holds; a copy of the host's procfs may become /proc itself."""
    source = descriptors[name]
    directory = stat.S_ISDIR(os.fstat(source).st_mode)
    place = open_target(descriptors, target, directory=directory)
    try:
        mount.attach(source, place)
    finally:
        os.close(place)


def open_target(descriptors: Descriptors, target: str, *, directory: bool) -> int:
    root = descriptors["root"]
    if target in PLAIN and directory:
        place = filesystems.open_directory(root, target)
    else:
        place = filesystems.open_place(root, target, directory=directory)
    try:
        _check(root, place, target)
    except OSError:
        os.close(place)
        raise
    return place


def _check(root: int, place: int, target: str) -> None:
    found, top = os.fstat(place), os.fstat(root)
    if (found.st_dev, found.st_ino) == (top.st_dev, top.st_ino):
        raise OSError(errno.EPERM, "it leads to the container's root", target)
    if files.filesystem_type(place) == c.PROC_SUPER_MAGIC and target not in REPLACEABLE:
        raise OSError(errno.EPERM, "it lies in the kernel's procfs, where only a few files may be covered", target)


def _set_propagation(made: int, propagation: int) -> None:
    if propagation:
        mount.change_attributes(made, propagation=propagation)


def mount_cgroup(descriptors: Descriptors, target: str, added: int, own: str) -> None:
    """The hierarchy as our cgroup namespace shows it; `own`: without one only our own part of it is shown."""
    place = open_target(descriptors, target, directory=True)
    try:
        made = _part_of_hierarchy(own, added) if own else mount.new_filesystem("cgroup2", {}, added, source="cgroup")
        mount.attach(made, place)
        os.close(made)
    finally:
        os.close(place)


def _part_of_hierarchy(own: str, added: int) -> int:
    directory = os.open(own, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        made = mount.clone_tree(directory)
    finally:
        os.close(directory)
    mount.set_attributes(made, added)
    return made


def set_sysctl(_: Descriptors, path: str, value: str) -> None:
    """By the host's procfs, which no bundle can have put something else into; it shows our own namespaces' values."""
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if files.filesystem_type(proc) != c.PROC_SUPER_MAGIC:
            raise OSError(errno.ENODEV, "not a procfs", "/proc")
        opened = files.open_beneath(proc, f"sys/{path}", os.O_WRONLY)
    finally:
        os.close(proc)
    try:
        os.write(opened, value.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        os.close(opened)


def make_paths_read_only(descriptors: Descriptors, paths: list[str]) -> None:
    """Each that exists becomes a read-only mount of itself, with all that is mounted below."""
    for target in masks.existing(descriptors["root"], paths):
        tree = mount.clone_tree(target, recursive=True)
        mount.change_attributes(tree, c.MOUNT_ATTR_RDONLY, propagation=c.MS_PRIVATE, recursive=True)
        mount.attach(tree, target)
        os.close(tree)


def make_root_read_only(descriptors: Descriptors) -> None:
    mount.change_attributes(descriptors["root"], c.MOUNT_ATTR_RDONLY)


def enter_root(_: Descriptors) -> None:
    """In place of pivot_root(2), which a root file system in memory does not allow: the host's stays below ours."""
    here = mount.clone_tree(c.AT_FDCWD, ".", recursive=True)
    mount.attach_at(here, "/")
    os.fchdir(here)
    os.chroot(".")
    os.close(here)


def set_root_propagation(_: Descriptors, propagation: int) -> None:
    mount.set_propagation("/", propagation)
