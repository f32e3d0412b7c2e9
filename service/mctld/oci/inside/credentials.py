# SPDX-License-Identifier: GPL-3.0-or-later
"""Who the process is, and what it may do: user and groups, the five sets of capabilities, labels."""

from __future__ import annotations

import os

from ... import capability
from ...kernel import process
from ...runtime.capabilities import mask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...runtime.stage import Descriptors

SETGROUPS = "/proc/self/setgroups"  # user_namespaces(7)


def stay_out_of_reach(_: Descriptors) -> None:
    """Nobody in the container may trace us or use what we have open, until we execute: CVE-2016-9962."""
    process.set_dumpable(dumpable=False)


def become_root(_: Descriptors) -> None:
    """Of a user namespace; without leave to, the groups stay."""
    _set_groups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    process.set_dumpable(dumpable=False)


def become_user(_: Descriptors, uid: int, gid: int, groups: list[int]) -> None:
    """root's permitted capabilities stay for the steps to come; PR_SET_KEEPCAPS, prctl(2)."""
    process.keep_capabilities()
    _set_groups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    process.set_dumpable(dumpable=False)  # new ids have made us what fs.suid_dumpable says, proc_sys_fs(5)


def _set_groups(groups: list[int]) -> None:
    try:
        os.setgroups(groups)
    except PermissionError:
        if groups:
            raise


def set_capabilities(
    _: Descriptors, effective: list[str], permitted: list[str], inheritable: list[str], ambient: list[str],
    loader: list[str],
) -> None:  # fmt: skip
    """`loader` is what we need until execve(2), which takes it away. What we do not have we cannot give."""
    held = process.permitted_capabilities()
    process.clear_ambient()
    extra = mask(loader) & held
    kept = mask(permitted) & held | extra
    inherited = mask(inheritable) & held
    process.set_capabilities(mask(effective) & kept | extra, kept, inherited)
    for name in ambient:
        number = capability.NUMBERS[name]
        if kept & inherited & 1 << number:
            process.raise_ambient(number)


def open_labels(descriptors: Descriptors, apparmor: str, selinux: str) -> None:
    """While the host's procfs is there: what is written to it later is about us, whatever lies on /proc then."""
    for name, label in (("apparmor/exec", apparmor), ("exec", selinux)):
        if label:
            descriptors.keep(f"label-{name}", os.open(f"/proc/thread-self/attr/{name}", os.O_WRONLY | os.O_CLOEXEC))


def set_labels(descriptors: Descriptors, apparmor: str, selinux: str) -> None:
    """For the next execve(2): proc_pid_attr(5) and aa_change_onexec(2)."""
    if apparmor:
        os.write(descriptors["label-apparmor/exec"], f"exec {apparmor}".encode())
    if selinux:
        os.write(descriptors["label-exec"], selinux.encode())
