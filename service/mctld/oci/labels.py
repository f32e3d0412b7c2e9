# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels of AppArmor and SELinux: refused in words where the host runs without, before anything is made."""

from __future__ import annotations

from ..bounds import shown
from ..errors import InvalidArgs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .process import Process

APPARMOR = "/sys/module/apparmor/parameters/enabled"
FILE_SYSTEMS = "/proc/filesystems"


def check(process: Process | None, mount_label: str = "") -> None:
    """The kernel would ignore mount_label where there is no mount to label, and refuse others in words of files."""
    selinux = process.selinux if process else ""
    for key, label in (("process.selinuxLabel", selinux), ("linux.mountLabel", mount_label)):
        if label and not _has_selinux():
            raise InvalidArgs(f"{key} is {shown(label)}: this host runs without SELinux")
    if process and process.apparmor and not _has_apparmor():
        raise InvalidArgs(f"process.apparmorProfile is {shown(process.apparmor)}: this host runs without AppArmor")


def _has_selinux() -> bool:
    with open(FILE_SYSTEMS, encoding="ascii") as file:
        return "selinuxfs" in file.read().split()


def _has_apparmor() -> bool:
    try:
        with open(APPARMOR, encoding="ascii") as file:
            return file.read().strip() == "Y"
    except FileNotFoundError:
        return False
