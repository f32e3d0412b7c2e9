# SPDX-License-Identifier: GPL-3.0-or-later
"""The profile "strict": enough for static programs, shells, interpreters, threads and network servers, and no more.

It does not depend on capabilities, looks into no other process, knows the sockets of three families and only the native
architecture. Everything else that the profile "default" knows is EPERM, what it does not know is ENOSYS.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from . import default
from .default import ENOSYS, EPERM
from .profile import ALLOW, Profile, Rule, errno_action, is_int, runs

if TYPE_CHECKING:
    from collections.abc import Iterator

FAMILIES = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6

_ALLOWED = """
accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmsg sendmmsg sendmsg sendto
setsockopt shutdown

access chdir chmod chown close close_range copy_file_range dup dup2 dup3 faccessat faccessat2 fadvise64 fallocate
fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync flock fstat fstatfs fsync ftruncate getcwd getdents64
ioctl lchown link linkat lseek lstat mkdir mkdirat newfstatat open openat openat2 pipe pipe2 pread64 preadv pwrite64
pwritev read readlink readlinkat readv rename renameat renameat2 rmdir sendfile stat statfs statx symlink symlinkat
truncate umask unlink unlinkat utimensat write writev

epoll_create1 epoll_ctl epoll_pwait epoll_wait eventfd2 inotify_add_watch inotify_init1 inotify_rm_watch poll ppoll
pselect6 select timerfd_create timerfd_gettime timerfd_settime

brk madvise mmap mprotect mremap msync munmap

arch_prctl execve exit exit_group fork futex kill pause prctl restart_syscall riscv_flush_icache riscv_hwprobe rseq
rt_sigaction rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigtimedwait set_robust_list set_tid_address sigaltstack
tgkill tkill vfork wait4 waitid

getegid geteuid getgid getgroups getpgid getpgrp getpid getppid getresgid getresuid getsid gettid getuid setgid
setgroups setpgid setresgid setresuid setsid setuid

getrandom getrusage prlimit64 sched_getaffinity sched_yield sysinfo uname

alarm clock_getres clock_gettime clock_nanosleep gettimeofday nanosleep setitimer times
"""

# As on a file system without them: ls and cp go on, where EPERM would be an error to them.
_ATTRIBUTES = """
fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr listxattrat llistxattr lremovexattr
lsetxattr removexattr removexattrat setxattr setxattrat
"""


def profile(_: frozenset[str], machine: str) -> Profile:
    allowed, attributes = frozenset(_ALLOWED.split()), frozenset(_ATTRIBUTES.split())
    sockets = frozenset({"socket", "socketpair"})
    known = default.known() - allowed - attributes - sockets - {"clone3"}
    return Profile(
        architectures=runs(machine)[:1],
        default=ENOSYS,
        foreign=ENOSYS,
        rules=(
            Rule(tuple(sorted(allowed)), ALLOW),
            Rule(tuple(sorted(attributes)), errno_action(errno.ENOTSUP)),
            Rule(tuple(sorted(sockets)), errno_action(errno.EAFNOSUPPORT)),
            Rule(tuple(sorted(known)), EPERM),
        ),
        exceptions=(default.no_new_namespaces(machine), *default.terminal_injection(), *_sockets()),
    )


def _sockets() -> Iterator[Rule]:
    return (Rule(("socket", "socketpair"), ALLOW, (is_int(0, family),)) for family in FAMILIES)
