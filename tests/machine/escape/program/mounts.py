# SPDX-License-Identifier: GPL-3.0-or-later
"""Every call of both mount interfaces."""

from __future__ import annotations

import os
import struct

from .calls import MINUS_ONE, call, isolate
from .registry import probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .registry import Probe

MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_SHARED = 0x1, 0x20, 0x1000, 0x4000, 0x100000
MNT_DETACH = 2
AT_FDCWD = -100
OPEN_TREE_CLONE = 1
PLACE = b"/tmp"


def _mount(source: bytes, target: bytes, kind: bytes, flags: int = 0, data: bytes | int = 0) -> Probe:
    def attempt() -> None:
        isolate()
        call("mount", source, target, kind, flags, data)

    return attempt


def _call(name: str, *arguments: int | bytes) -> Probe:
    def attempt() -> None:
        isolate()
        call(name, *arguments)

    return attempt


_ATTEMPTS = {
    "mount-tmpfs": _mount(b"none", PLACE, b"tmpfs"),
    "mount-proc": _mount(b"none", PLACE, b"proc"),
    "mount-sysfs": _mount(b"none", PLACE, b"sysfs"),
    "mount-overlay": _mount(b"none", PLACE, b"overlay", 0, b"lowerdir=/tmp:/"),
    "mount-cgroup2": _mount(b"none", PLACE, b"cgroup2"),
    "mount-cgroup-v1": _mount(b"none", PLACE, b"cgroup", 0, b"rdma"),  # CVE-2022-0492: its release_agent
    "mount-bind": _mount(b"/proc", PLACE, b"none", MS_BIND | MS_REC),
    "mount-remount-sys-writable": _mount(b"none", b"/sys", b"none", MS_REMOUNT | MS_BIND),
    "mount-remount-proc-sys-writable": _mount(b"none", b"/proc/sys", b"none", MS_REMOUNT | MS_BIND),
    "mount-shared-propagation": _mount(b"none", b"/", b"none", MS_SHARED | MS_REC),
    "umount-proc": _call("umount2", b"/proc", MNT_DETACH),
    "umount-proc-kcore": _call("umount2", b"/proc/kcore", MNT_DETACH),
    "umount-root": _call("umount2", b"/", MNT_DETACH),
    "pivot_root": _call("pivot_root", b"/", b"/"),
    "fsopen": _call("fsopen", b"tmpfs", 0),
    "fsconfig": _call("fsconfig", MINUS_ONE, 6, 0, 0, 0),
    "fsmount": _call("fsmount", MINUS_ONE, 0, 0),
    "fspick": _call("fspick", AT_FDCWD, b"/", 0),
    "move_mount": _call("move_mount", AT_FDCWD, b"/proc", AT_FDCWD, PLACE, 0),
    "open_tree": _call("open_tree", AT_FDCWD, b"/", OPEN_TREE_CLONE),
    "open_tree_attr": _call("open_tree_attr", AT_FDCWD, b"/", OPEN_TREE_CLONE, 0, 0),
    "mount_setattr": _call("mount_setattr", AT_FDCWD, b"/", 0, struct.pack("4Q", 0, MS_RDONLY, 0, 0), 32),
}
for _name, _attempt in _ATTEMPTS.items():
    probe(_name)(_attempt)


@probe("chroot-and-climb-out")
def chroot_and_climb_out() -> str:
    """chroot(2) with the working directory left outside, then up: with pivot_root(2) there is nothing above."""
    top = os.stat("/")
    os.makedirs("/tmp/cell", exist_ok=True)
    os.chdir("/")
    os.chroot("/tmp/cell")
    for _ in range(64):
        os.chdir("..")
    os.chroot(".")
    here = os.stat("/")
    return "contained" if (here.st_dev, here.st_ino) == (top.st_dev, top.st_ino) else "out"


@probe("chroot-and-climb-out-by-a-descriptor")
def chroot_and_climb_out_by_a_descriptor() -> str:
    top, directory = os.stat("/"), os.open("/", os.O_RDONLY)
    os.makedirs("/tmp/cell", exist_ok=True)
    os.chroot("/tmp/cell")
    os.fchdir(directory)
    for _ in range(64):
        os.chdir("..")
    os.chroot(".")
    here = os.stat("/")
    return "contained" if (here.st_dev, here.st_ino) == (top.st_dev, top.st_ino) else "out"
