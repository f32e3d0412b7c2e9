# SPDX-License-Identifier: GPL-3.0-or-later
"""New namespaces are where most of the kernel's bugs were reached from (CVE-2022-0185, CVE-2024-1086)."""

from __future__ import annotations

import os
import signal
import struct

from .calls import call
from .registry import probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .registry import Probe

KINDS = {  # sched.h; CLONE_NEWTIME lies in clone(2)'s byte for the signal, so only unshare(2) and clone3(2) know it
    "user": 0x10000000, "mount": 0x00020000, "pid": 0x20000000, "network": 0x40000000, "ipc": 0x08000000,
    "uts": 0x04000000, "cgroup": 0x02000000,
}  # fmt: skip
NEWTIME = 0x00000080
CLONE_FS = 0x00000200


def _clone(flags: int) -> Probe:
    def attempt() -> None:
        child = call("clone", flags | signal.SIGCHLD, 0, 0, 0, 0)
        if not child:
            os._exit(0)
        os.waitpid(child, 0)

    return attempt


def _clone3(flags: int) -> Probe:
    """struct clone_args, clone(2): flags, pidfd, child_tid, parent_tid, exit_signal, and more that may be zero."""

    def attempt() -> None:
        child = call("clone3", struct.pack("8Q", flags, 0, 0, 0, signal.SIGCHLD, 0, 0, 0), 64)
        if not child:
            os._exit(0)
        os.waitpid(child, 0)

    return attempt


def _unshare(flags: int) -> Probe:
    def attempt() -> None:
        call("unshare", flags)

    return attempt


def _setns(kind: str) -> Probe:
    def attempt() -> None:
        call("setns", os.open(f"/proc/self/ns/{kind}", os.O_RDONLY), 0)

    return attempt


for _kind, _flag in KINDS.items():
    probe(f"clone-new-{_kind}")(_clone(_flag))
    probe(f"unshare-{_kind}")(_unshare(_flag))
probe("unshare-time")(_unshare(NEWTIME))
probe("unshare-user-and-mount")(_unshare(KINDS["user"] | KINDS["mount"]))
probe("clone3")(_clone3(0))
probe("clone3-new-user")(_clone3(KINDS["user"]))
probe("clone3-new-time")(_clone3(NEWTIME))
for _name in ("user", "mnt", "pid", "net", "uts"):
    probe(f"setns-{_name}")(_setns(_name))


@probe("setns-of-a-pidfd")
def setns_of_a_pidfd() -> None:
    call("setns", os.pidfd_open(os.getpid()), KINDS["mount"])


@probe("unshare-of-a-file-system-context")
def unshare_of_a_file_system_context() -> None:
    """No namespace, and harmless: here to show whether the whole call is shut or only its flags."""
    call("unshare", CLONE_FS)
