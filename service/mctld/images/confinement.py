# SPDX-License-Identifier: GPL-3.0-or-later
"""What surrounds the child that unpacks: when the first byte of an archive is read, this is all it has left.

Its root directory is the layer being made, and it has no other mount; no network but a loopback interface that is
down; ids that nobody else on the host has, which an idmapped mount turns into a layer's on disk; the capabilities to
own files, in a user namespace of its own; a filter that allows some sixty system calls, execve(2) not among them;
limits of memory, descriptors and sizes of files.
"""

from __future__ import annotations

import json
import os
import resource
from typing import TYPE_CHECKING

from ..kernel import constants as c
from ..kernel import mount, process
from . import bounds

if TYPE_CHECKING:
    from collections.abc import Iterable

DESCRIPTORS = 256
OOM_SCORE = 500  # mctld's own is negative: it shall outlive this child
# CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETFCAP: capabilities(7)
CAPABILITIES = sum(1 << number for number in (0, 1, 3, 4, 31))

CALLS = (
    "brk", "clock_gettime", "clock_nanosleep", "close", "dup", "exit", "exit_group", "fadvise64", "fallocate", "fchmod",
    "fchown", "fchownat", "fcntl", "fsetxattr", "fstat", "fstatfs", "fstatvfs", "ftruncate", "futex", "getdents64",
    "getegid", "geteuid", "getgid", "getpid", "getrandom", "gettid", "getuid", "linkat", "lseek", "madvise", "mkdirat",
    "mknodat", "mmap", "mprotect", "mremap", "munmap", "newfstatat", "openat", "openat2", "poll", "ppoll", "pread64",
    "prlimit64", "read", "readv", "recvfrom", "recvmsg", "renameat", "renameat2", "restart_syscall", "rseq",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sched_getaffinity", "sched_yield", "set_robust_list",
    "sigaltstack", "statfs", "statx", "symlinkat", "unlinkat", "utimensat", "write", "writev",
)  # fmt: skip
CLONE_THREAD = 0x00010000


def profile(calls: Iterable[str]) -> str:
    """One that allows these system calls, and threads."""
    thread = {"index": 0, "value": CLONE_THREAD, "valueTwo": CLONE_THREAD, "op": "SCMP_CMP_MASKED_EQ"}
    return json.dumps(
        {
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 38,  # ENOSYS: glibc then tries an older call
            "architectures": ["SCMP_ARCH_NATIVE"],
            "syscalls": [
                {"names": sorted(calls), "action": "SCMP_ACT_ALLOW"},
                {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [thread]},
            ],
        }
    )


FILTER = profile(CALLS)


def confine(place: str, tree: int, user_namespace: int, program: int) -> None:
    """`tree`: a detached mount, which becomes the root; `place`: a directory to attach it to, seen by nobody else.

    Afterwards nothing can be imported any more: Python's library is out of reach.
    """
    _limit()
    process.unshare(c.CLONE_NEWNS | c.CLONE_NEWNET | c.CLONE_NEWIPC | c.CLONE_NEWUTS | c.CLONE_NEWCGROUP)
    mount.set_propagation("/", c.MS_REC | c.MS_PRIVATE)
    mount.attach_at(tree, place)
    os.chdir(place)
    mount.pivot_root(".", ".")  # pivot_root(2), NOTES: the old root then lies on top of the new one
    mount.umount(".", c.MNT_DETACH)
    os.chdir("/")
    process.enter_namespaces(user_namespace, c.CLONE_NEWUSER)
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    os.umask(0)
    process.set_capabilities(CAPABILITIES, CAPABILITIES, 0)
    process.end_with_parent()
    process.forbid_new_privileges()
    process.set_filter(os.pread(program, os.fstat(program).st_size, 0))
    for descriptor in (tree, user_namespace, program):
        os.close(descriptor)


def _limit() -> None:
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write(str(OOM_SCORE))
    for kind, most in (
        (resource.RLIMIT_AS, bounds.MEMORY),
        (resource.RLIMIT_FSIZE, bounds.LAYER_BYTES),
        (resource.RLIMIT_NOFILE, DESCRIPTORS),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))
