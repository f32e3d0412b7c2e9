# SPDX-License-Identifier: GPL-3.0-or-later
"""Device nodes: what there is, and what can be made."""

from __future__ import annotations

import glob
import os
import stat

from .registry import probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .registry import Probe

NODES = {
    "disk": (stat.S_IFBLK, 8, 0), "virtual-disk": (stat.S_IFBLK, 254, 0), "loop": (stat.S_IFBLK, 7, 0),
    "memory": (stat.S_IFCHR, 1, 1), "port": (stat.S_IFCHR, 1, 4), "kernel-log": (stat.S_IFCHR, 1, 11),
    "console": (stat.S_IFCHR, 5, 1), "fuse": (stat.S_IFCHR, 10, 229), "null": (stat.S_IFCHR, 1, 3),
}  # fmt: skip


def _make(kind: int, major: int, minor: int) -> Probe:
    """Made and opened: a node alone is harmless where nodev or a device filter holds."""

    def attempt() -> str:
        os.mknod("/tmp/node", kind | 0o600, os.makedev(major, minor))
        try:
            os.close(os.open("/tmp/node", os.O_RDONLY | os.O_NONBLOCK))
        except OSError as error:
            return f"made, {os.strerror(error.errno or 0)}"
        finally:
            os.unlink("/tmp/node")
        return "made and opened"

    return attempt


for _name, _node in NODES.items():
    probe(f"mknod-{_name}")(_make(*_node))


@probe("mknod-fifo")
def mknod_fifo() -> None:
    """Has to work."""
    os.mkfifo("/tmp/fifo")
    os.unlink("/tmp/fifo")


@probe("dev")
def dev() -> list[str]:
    return sorted(os.listdir("/dev"))


@probe("dev-kinds")
def dev_kinds() -> list[str]:
    """Every node below /dev, with its device number, that is not one of the harmless."""
    harmless = {(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)}
    found = []
    for directory, _, names in os.walk("/dev"):
        for name in names:
            status = os.lstat(f"{directory}/{name}")
            number = (os.major(status.st_rdev), os.minor(status.st_rdev))
            if stat.S_ISBLK(status.st_mode) or (stat.S_ISCHR(status.st_mode) and number not in harmless):
                found.append(f"{directory}/{name} {number[0]}:{number[1]}")
    return sorted(found)


@probe("nodes-of-the-host-changed")
def nodes_of_the_host_changed() -> list[str]:
    """Nodes that were brought in from elsewhere, over a file or a directory: their modes are not ours to set."""
    own, found = os.stat("/dev").st_dev, []
    for path in (*(f"/dev/{name}" for name in os.listdir("/dev")), *glob.glob("/proc/k*"), "/proc/timer_list"):
        try:
            status = os.lstat(path)
            if stat.S_ISCHR(status.st_mode) and status.st_dev != own:
                os.chmod(path, status.st_mode & 0o7777)
                found.append(path)
        except OSError:
            continue
    return sorted(found)


@probe("dev-null-is-null")
def dev_null_is_null() -> str:
    status = os.stat("/dev/null")
    kind = "character" if stat.S_ISCHR(status.st_mode) else "other"
    return f"{kind} {os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"


@probe("block-devices-of-sys")
def block_devices_of_sys() -> str:
    """Opens by number what /sys names: none may open, made here or found."""
    opened = []
    for name in os.listdir("/sys/class/block"):
        try:
            with open(f"/sys/class/block/{name}/dev") as file:
                major, minor = map(int, file.read().split(":"))
            os.mknod("/tmp/disk", stat.S_IFBLK | 0o600, os.makedev(major, minor))
            os.close(os.open("/tmp/disk", os.O_RDONLY | os.O_NONBLOCK))
            opened.append(name)
        except OSError:
            pass
        finally:
            if os.path.lexists("/tmp/disk"):
                os.unlink("/tmp/disk")
    return f"opened {opened}" if opened else "none opens"
