# SPDX-License-Identifier: GPL-3.0-or-later
"""Who and where the process is: ids, host name, cgroup namespace, loopback."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import sys

from ..kernel import constants as c
from ..kernel import process
from . import accounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .stage import Descriptors

_IFREQ_SIZE = 40  # struct ifreq, netdevice(7)
_NAME_SIZE = 16


def become_root(_: Descriptors) -> None:
    """Root of our own user namespace: what is made from now on belongs to the container."""
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    _stay_out_of_reach()


def become_user(_: Descriptors, user: str, group: str, *, keep: bool) -> None:
    """keep: root's permitted capabilities stay for the steps to come, until execve(2); PR_SET_KEEPCAPS, prctl(2)."""
    uid, gid, groups = accounts.look_up(user, group)
    if keep:
        process.keep_capabilities()
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    _stay_out_of_reach()


def _stay_out_of_reach() -> None:
    """Whoever is the same user could trace us, or use what we have open, until we execute: CVE-2016-9962.

    New ids make a process what fs.suid_dumpable says, proc_sys_fs(5), which may be 1.
    """
    process.set_dumpable(dumpable=False)


def join_namespaces(descriptors: Descriptors, namespaces: int) -> None:
    """Those of a container that runs: / and the working directory become its root, setns(2)."""
    process.enter_namespaces(descriptors["container"], namespaces)


def enter_cgroup_namespace(_: Descriptors) -> None:
    """Only now: the namespace's root is the cgroup that we are in, which is the scope's."""
    process.unshare(c.CLONE_NEWCGROUP)


def join_session_keyring(_: Descriptors) -> None:
    """A keyring of our own: they are not namespaced (CVE-2016-0728), and the one we have is the service's.

    Where an outer container's filter forbids the call, or the kernel has no keys, nobody inside could use one either.
    """
    try:
        process.join_session_keyring()
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise


def set_hostname(_: Descriptors, name: str) -> None:
    process.set_hostname(name)


def raise_loopback(_: Descriptors) -> None:
    """SIOCSIFFLAGS, netdevice(7): one ioctl where netlink would cost an import."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        request = b"lo".ljust(_NAME_SIZE, b"\0") + c.IFF_UP.to_bytes(2, sys.byteorder)
        fcntl.ioctl(control, c.SIOCSIFFLAGS, request.ljust(_IFREQ_SIZE, b"\0"))
