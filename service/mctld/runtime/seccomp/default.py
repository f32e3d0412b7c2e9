# SPDX-License-Identifier: GPL-3.0-or-later
"""The profile "default": what programs use, without what has let them out.

Three answers: allowed; EPERM for what is known and refused; ENOSYS for all that this table does not know, so that libc
and programs fall back as on an older kernel. It depends on the capabilities: a call that needs one which the
payload does not have is refused before the kernel's own code for it is reached.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from .profile import ALLOW, Condition, Profile, Rule, errno_action, is_int, runs

if TYPE_CHECKING:
    from collections.abc import Iterable

EPERM = errno_action(errno.EPERM)
ENOSYS = errno_action(errno.ENOSYS)

# CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}, clone(2); CLONE_NEWTIME cannot be given to clone.
NEW_NAMESPACES = 0x7E020000
FLAGS_ARGUMENT = {"s390x": 1}  # elsewhere 0: clone(2), C library/kernel differences

AF_NETLINK, AF_ALG, AF_VSOCK = 16, 38, 40
NETLINK_AUDIT = 9
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
PERSONALITIES = (0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)  # PER_LINUX, PER_LINUX32, UNAME26 with both, and the question

_ALLOWED = """
accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64 recvmsg
send sendmmsg sendmsg sendto setsockopt shutdown socket socketpair

_llseek access cachestat chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat
faccessat2 fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64
fdatasync fgetxattr file_getattr file_setattr flistxattr flock fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs
fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64 getxattr getxattrat ioctl lchown lchown32
lgetxattr link linkat listmount listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lstat lstat64 mkdir
mkdirat mknod mknodat name_to_handle_at newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64
pwritev pwritev2 read readahead readlink readlinkat readv removexattr removexattrat rename renameat renameat2 rmdir
sendfile sendfile64 setxattr setxattrat splice stat stat64 statfs statfs64 statmount statx symlink symlinkat sync
sync_file_range syncfs tee truncate truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes write
writev

_newselect epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 fanotify_mark
inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents
io_pgetevents_time64 io_setup io_submit poll ppoll ppoll_time64 pselect6 pselect6_time64 select signalfd signalfd4

brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mmap2 mprotect
mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_mrelease remap_file_pages

ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink
msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget

clone execve execveat exit exit_group fork futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake
get_robust_list get_thread_area kill pause personality pidfd_open pidfd_send_signal prctl process_vm_readv
process_vm_writev ptrace restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo set_robust_list set_thread_area
set_tid_address sigaltstack sigprocmask sigreturn tgkill tkill uretprobe vfork wait4 waitid waitpid

capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getpgid getpgrp getpid
getppid getresgid getresgid32 getresuid getresuid32 getsid gettid getuid getuid32 landlock_add_rule
landlock_create_ruleset landlock_restrict_self seccomp setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32
setgroups setgroups32 setpgid setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32
setsid setuid setuid32

getcpu getpriority getrandom getrlimit getrusage ioprio_get ioprio_set prlimit64 sched_get_priority_max
sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield
setpriority setrlimit sysinfo ugetrlimit uname

adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create timer_delete
timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
timerfd_gettime64 timerfd_settime timerfd_settime64 times

arch_prctl modify_ldt
arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2
riscv_flush_icache riscv_hwprobe
s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr
swapcontext
"""

# What a capability brings. Without it these are EPERM, but for clone3, whose flags a filter cannot see.
WITH_CAPABILITY = {
    "BPF": "bpf",
    "DAC_READ_SEARCH": "open_by_handle_at",
    "PERFMON": "perf_event_open",
    "SYSLOG": "syslog",
    "SYS_ADMIN": """
        bpf clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules
        lsm_set_self_attr mount mount_setattr move_mount open_tree open_tree_attr perf_event_open pivot_root quotactl
        quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare
    """,
    "SYS_BOOT": "reboot",
    "SYS_CHROOT": "chroot",
    "SYS_MODULE": "delete_module finit_module init_module",
    "SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "SYS_PACCT": "acct",
    "SYS_PTRACE": "kcmp pidfd_getfd process_madvise",
    "SYS_RAWIO": "ioperm iopl",
    "SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
    "SYS_TTY_CONFIG": "vhangup",
}

# Never, whatever the capabilities: who needs one of these brings a profile of their own. socketcall(2), the one door
# to the sockets of old 32-bit programs, hides the family behind a pointer; libc uses the single calls since Linux 4.3.
REFUSED = """
add_key io_uring_enter io_uring_register io_uring_setup kexec_file_load kexec_load keyctl listns migrate_pages
move_pages nfsservctl request_key socketcall swapoff swapon sysfs uselib userfaultfd ustat vm86 vm86old vmsplice
"""


def allowed(capabilities: Iterable[str]) -> frozenset[str]:
    """The names that are allowed, conditions of their arguments aside."""
    return frozenset(_ALLOWED.split()).union(*(WITH_CAPABILITY.get(name, "").split() for name in capabilities))


def known() -> frozenset[str]:
    """All names that this table has."""
    return allowed(WITH_CAPABILITY).union(REFUSED.split())


def profile(capabilities: frozenset[str], machine: str) -> Profile:
    permitted = allowed(capabilities)
    restricted = {"personality"} if "SYS_ADMIN" in capabilities else {"personality", "clone"}
    return Profile(
        architectures=runs(machine),
        default=ENOSYS,
        foreign=ENOSYS,
        rules=(
            Rule(tuple(sorted(permitted - restricted)), ALLOW),
            Rule(tuple(sorted(known() - permitted - {"clone3"} | restricted)), EPERM),
        ),
        exceptions=(
            *(Rule(("personality",), ALLOW, (is_int(0, value),)) for value in PERSONALITIES),
            *((no_new_namespaces(machine),) if "clone" in restricted else ()),
            *terminal_injection(),
            *_sockets(capabilities),
        ),
    )


def no_new_namespaces(machine: str) -> Rule:
    """A new user namespace brings capabilities, and with them most of the kernel's code that had bugs."""
    flags = FLAGS_ARGUMENT.get(machine, 0)
    return Rule(("clone",), ALLOW, (Condition(flags, "MASKED_EQ", NEW_NAMESPACES, 0),))


def terminal_injection() -> tuple[Rule, ...]:
    """Typing into the terminal that one was started from (CVE-2017-5226, CVE-2023-28100)."""
    return tuple(Rule(("ioctl",), EPERM, (is_int(1, command),)) for command in (TIOCSTI, TIOCLINUX))


def _sockets(capabilities: frozenset[str]) -> tuple[Rule, ...]:
    """AF_ALG writes to the page cache of files it may only read (CVE-2026-31431); AF_VSOCK knows no namespaces.

    Compared as ints, not by the ranges <38, 39, >40: with those, 2**32 + 38 passes and the kernel takes it for 38.
    Without CAP_AUDIT_WRITE an audit socket is EINVAL, which libaudit takes for a kernel without audit.
    """
    families = tuple(Rule(("socket", "socketpair"), EPERM, (is_int(0, family),)) for family in (AF_ALG, AF_VSOCK))
    if "AUDIT_WRITE" in capabilities:
        return families
    audit = (is_int(0, AF_NETLINK), is_int(2, NETLINK_AUDIT))
    return (*families, Rule(("socket",), errno_action(errno.EINVAL), audit))
