# SPDX-License-Identifier: GPL-3.0-or-later
"""What each probe may come to, per profile: data. The first table is the default container's; others say what differs.

A tuple holds every outcome that is as good as the others: whether a kernel lacks a call (ENOSYS) or a filter holds it
(EPERM) is the same to an attacker. Where it is not the same to an honest program there is one outcome only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Table = Mapping[str, tuple[Any, ...]]

OK = ("ok",)
EPERM = ("EPERM",)
ENOSYS = ("ENOSYS",)  # as a kernel without it would answer: libraries then fall back
SHUT = ("EPERM", "ENOSYS")
UNSEEN = ("missing", "empty", "EACCES", "EPERM")  # missing: this kernel has no such file
HELD = ("missing", "held")
UNWRITABLE = ("missing", "EROFS", "EACCES", "EPERM")
NONE: tuple[Any, ...] = ([],)
UNLIMITED = -1

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DECLARED = ["DECLARED=yes", "HOME=/", f"PATH={PATH}", "container=mctl"]
HOSTNAME = "box"
DEV = ["console", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty",
       "urandom", "zero"]  # fmt: skip
ALLOWED_CAPABILITIES = "00000000800405fb"
NO_CAPABILITIES = "0000000000000000"
ALL_CAPABILITIES = "000001ffffffffff"


def each(names: Iterable[str], outcomes: tuple[Any, ...], prefix: str = "") -> dict[str, tuple[Any, ...]]:
    return {f"{prefix}{name}": outcomes for name in names}


BIRTH: Table = {
    "descriptors": ([0, 1, 2],),  # CVE-2024-21626
    "working-directory": ("/",),
    "umask": ("0022",),
    "environment": (DECLARED,),
    "groups": NONE,  # CVE-2014-8989
    "ids": ([[0, 0, 0], [0, 0, 0]],),
    "nice": (0,),
    "scheduler": (0,),
    "io-priority": (0,),
    "session-is-own": (True,),
    "child-subreaper": (0,),
    "parent-death-signal": (0,),
    "capabilities-inheritable": (NO_CAPABILITIES,),  # CVE-2022-29162
    "capabilities-permitted": (ALLOWED_CAPABILITIES,),
    "capabilities-effective": (ALLOWED_CAPABILITIES,),
    "capabilities-bounding": (ALLOWED_CAPABILITIES,),
    "capabilities-ambient": (NO_CAPABILITIES,),
    "no-new-privileges": ("1",),
    "seccomp": ("2",),
    "signals-blocked": ("0" * 16,),
    "signals-ignored": ("0" * 16,),
    "tracer": ("0",),
    "oom-score-adj": ("0",),  # the spawner's own is -900
    "timer-slack": ("50000",),
    "personality": ("00000000",),
    "coredump-filter": ("00000033",),
    "login-uid": (str(2**32 - 1),),
    "audit-session": (str(2**32 - 1),),
    "dumpable": (1,),
    "keep-capabilities": (0,),
    "secure-bits": (0,),
    "huge-pages-disabled": (0,),
    **each(("as", "cpu", "data", "fsize", "rss", "rttime"), ([UNLIMITED, UNLIMITED],), "limit-"),
    **each(("nice", "rtprio"), ([0, 0],), "limit-"),
    "limit-stack": ([8 << 20, UNLIMITED],),
}
NAMESPACES: Table = {
    **each(("user", "mount", "pid", "network", "ipc", "uts", "cgroup"), EPERM, "clone-new-"),
    **each(("user", "mount", "pid", "network", "ipc", "uts", "cgroup", "time", "user-and-mount",
            "of-a-file-system-context"), EPERM, "unshare-"),
    **each(("clone3", "clone3-new-user", "clone3-new-time"), ENOSYS),
    **each(("user", "mnt", "pid", "net", "uts", "of-a-pidfd"), EPERM, "setns-"),
}  # fmt: skip
MOUNTS: Table = {
    **each(("tmpfs", "proc", "sysfs", "overlay", "cgroup2", "bind", "remount-sys-writable",
            "remount-proc-sys-writable", "shared-propagation", "cgroup-v1"), EPERM, "mount-"),
    **each(("umount-proc", "umount-proc-kcore", "umount-root", "pivot_root", "fsopen", "fsconfig", "fsmount", "fspick",
            "move_mount", "open_tree", "mount_setattr"), EPERM),
    "open_tree_attr": SHUT,
    **each(("chroot-and-climb-out", "chroot-and-climb-out-by-a-descriptor"), ("contained",)),
}  # fmt: skip
KERNEL: Table = {
    **each(("bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register",
            "add_key", "request_key", "session-keyring", "keyctl", "keyctl-join-a-session", "socket-alg",
            "socket-vsock", "socket-packet", "socket-raw", "swapon", "swapoff", "acct", "reboot", "kexec_load",
            "kexec_file_load", "init_module", "finit_module", "delete_module", "quotactl", "syslog-read",
            "syslog-size", "settimeofday",
            "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname", "vhangup", "fanotify_init",
            "open_by_handle_at"), EPERM),
    **each(("iopl", "ioperm", "quotactl_fd", "lookup_dcookie", "nfsservctl", "uselib", "ustat", "sysfs", "_sysctl",
            "lsm_set_self_attr"), SHUT),
    "nftables-new-table": EPERM,
    "unknown-system-call": ENOSYS,
    "i386-getpid": ("own pid", "ENOSYS", "SIGSYS", "SIGSEGV"),  # open, but behind the same filter, or shut
    **each(("mount", "unshare", "keyctl", "bpf", "socketcall", "socket-alg", "userfaultfd", "io_uring_setup", "fsopen",
            "personality", "clone-new-user", "vmsplice", "socketcall-alg"), (*SHUT, "SIGSYS", "SIGSEGV"), "i386-"),
    **each(("getpid", "mount", "unshare", "keyctl", "bpf"), SHUT, "x32-"),
}  # fmt: skip
MEMORY: Table = {
    **each(("query", "linux", "linux32", "uname26", "linux32-uname26"), OK, "personality-"),
    **each(("no-randomization", "read-implies-exec", "mmap-page-zero"), EPERM, "personality-"),
    **each(("ptrace", "process_vm_readv", "process_vm_writev"), OK),
    **each(("pidfd_getfd", "kcmp", "vmsplice", "move_pages", "migrate_pages", "mbind", "set_mempolicy",
            "get_mempolicy", "set_mempolicy_home_node"), SHUT),
    **each(("tiocsti", "tiocsti-upper-bits", "tioclinux", "tioclinux-upper-bits"), EPERM),
    "prctl-set-mm": EPERM,
    "setuid-file-gains-nothing": ("user 1000",),
}  # fmt: skip
DEVICES: Table = {
    **each(("disk", "virtual-disk", "loop", "memory", "port", "kernel-log", "console", "fuse", "null"), EPERM,
           "mknod-"),
    "mknod-fifo": OK,
    "dev": (DEV,),
    "dev-kinds": NONE,
    "nodes-of-the-host-changed": NONE,
    "dev-null-is-null": ("character 1:3",),
    "block-devices-of-sys": ("none opens",),
    "terminal-works": OK,
    "controlling-terminal": ("ENXIO",),
    "terminals-of-others": NONE,
}
PATHS: Table = {
    **each(("/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/key-users",
            "/proc/kmsg", "/proc/kallsyms", "/proc/latency_stats", "/proc/pagetypeinfo", "/proc/sched_debug",
            "/proc/scsi", "/proc/slabinfo", "/proc/sysrq-trigger", "/proc/timer_list", "/proc/timer_stats",
            "/proc/vmallocinfo", "/sys/devices/virtual/powercap", "/sys/firmware", "/sys/fs/bpf", "/sys/fs/selinux",
            "/sys/kernel/debug", "/sys/kernel/security", "/sys/kernel/tracing", "/sys/module", "thermal_throttle"),
           UNSEEN, "masked:"),
    **each(("/proc/acpi", "/proc/apm", "/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/scsi", "/proc/sys",
            "/proc/sysrq-trigger", "/sys", "/sys/fs/cgroup"), HELD, "read-only:"),
    **each(("core-pattern", "modprobe-path", "hotplug-path", "uevent-helper", "binfmt_misc", "panic-on-oom",
            "hostname-sysctl", "ip_forward", "sysrq-trigger", "mtrr", "cgroup-procs", "cgroup-memory-max",
            "cgroup-subtree-control", "kernel-log", "own-uid-map"), UNWRITABLE, "write-"),
    "cgroup-mkdir": UNWRITABLE,
    "release-agent": ("none",),
    "kernel-addresses": ("hidden",),
}  # fmt: skip
NEIGHBOURS: Table = {
    "root-of-process-1": ("own",),
    "mounts-propagate": NONE,
    "mount-options-show-host-paths": NONE,
    "cgroup-paths": NONE,
    "abstract-sockets": NONE,  # CVE-2020-15257
    "hostname": (HOSTNAME,),
    "interfaces": (["eth0", "lo"],),
    "shared-memory": NONE,
    "service-sockets": NONE,
    "descriptors-lead-out": NONE,
    "read-host-files-by-process-1": ({"root": True, "cwd": True},),
    "processes": (["python3"],),
}
FACILITIES: Table = {
    "works-name-of-a-thread": ("worker",),
    "works-threads": (8,),
    "works-subprocess": ("heard",),
    **each(("files", "owners", "low-port", "sockets", "events", "chroot"), OK, "works-"),
    "works-becoming-another-user": ([1000, 1000, 5, 6],),
    "works-random-and-zero-devices": (8,),
}
DEFAULT: Table = {
    **BIRTH, **NAMESPACES, **MOUNTS, **KERNEL, **MEMORY, **DEVICES, **PATHS, **NEIGHBOURS, **FACILITIES,
}  # fmt: skip

# As user 1000: no capability is left in any set but the bounding one.
USER: Table = {
    **DEFAULT,
    "ids": ([[1000, 1000, 1000], [1000, 1000, 1000]],),
    "capabilities-permitted": (NO_CAPABILITIES,),
    "capabilities-effective": (NO_CAPABILITIES,),
    **each(("chroot-and-climb-out", "chroot-and-climb-out-by-a-descriptor", "works-chroot",
            "works-becoming-another-user", "setuid-file-gains-nothing"), EPERM),
    "works-low-port": ("EACCES", "ok"),  # ip_unprivileged_port_start of the network namespace decides
}  # fmt: skip

# No capability, also not in the bounding set, and about half of the calls.
NO_FAMILY = ("EAFNOSUPPORT", "EPERM")
STRICT: Table = {
    **DEFAULT,
    **each(("socket-alg", "socket-vsock", "socket-packet", "nftables-new-table", "interfaces", "works-sockets"),
           NO_FAMILY),
    **each(("query", "linux", "linux32", "uname26", "linux32-uname26"), EPERM, "personality-"),
    **each(("ptrace", "process_vm_readv", "process_vm_writev", "mknod-fifo", "io-priority", "works-events"), EPERM),
    **each(("permitted", "effective", "bounding"), (NO_CAPABILITIES,), "capabilities-"),
    **each(("chroot-and-climb-out", "chroot-and-climb-out-by-a-descriptor", "works-chroot", "works-owners",
            "works-becoming-another-user"), EPERM),
    "works-low-port": ("EACCES", "ok"),
    "setuid-file-gains-nothing": ("could not be tried",),
}  # fmt: skip

# With everything allowed the user namespace is the wall: this must hold still.
PRIVILEGED: Table = {
    **{name: outcomes for name, outcomes in BIRTH.items() if name not in ("no-new-privileges", "seccomp")},
    **each(("permitted", "effective", "bounding"), (ALL_CAPABILITIES,), "capabilities-"),
    "no-new-privileges": ("0",),
    **each(("swapon", "swapoff", "acct", "kexec_load", "kexec_file_load", "iopl", "ioperm", "init_module",
            "finit_module", "delete_module", "syslog-read", "syslog-size", "settimeofday", "clock_adjtime", "adjtimex",
            "vhangup", "fanotify_init", "open_by_handle_at", "nfsservctl"), SHUT),
    "reboot": ("EINVAL",),  # its own processes only: reboot(2) in a PID namespace
    "unknown-system-call": ENOSYS,
    "mount-cgroup-v1": ("EPERM", "EINVAL", "ENODEV"),
    **each(("chroot-and-climb-out", "chroot-and-climb-out-by-a-descriptor"), ("contained",)),
    **DEVICES,
    **each(("core-pattern", "modprobe-path", "hotplug-path", "uevent-helper", "binfmt_misc", "panic-on-oom",
            "sysrq-trigger", "mtrr", "kernel-log", "own-uid-map"), UNWRITABLE, "write-"),
    **each(("/proc/kcore", "/proc/kmsg", "/proc/pagetypeinfo", "/proc/slabinfo", "/proc/sysrq-trigger",
            "/proc/timer_list", "/proc/vmallocinfo", "/sys/kernel/debug", "/sys/kernel/tracing"), UNSEEN, "masked:"),
    "masked:/proc/interrupts": ("READABLE",),  # nothing is masked
    "release-agent": ("none",),
    "kernel-addresses": ("hidden",),
    **NEIGHBOURS,
    **FACILITIES,
}  # fmt: skip

# Root inside is the host's root: no user namespace stands behind the other walls.
HOST_USERS: Table = {
    **DEFAULT,
    "user-namespace": ([[0, 0, 2**32 - 1]],),
}

# By `mctl exec`: the same walls, and the container's first process beside it.
EXECUTED: Table = {
    **DEFAULT,
    "processes": (["busybox", "python3"], ["python3", "sleep"]),
}

# What a process hands on to its children and through execve(2), and the runtime sets back.
INHERITABLE = (
    "descriptors", "working-directory", "umask", "environment", "groups", "ids", "session-is-own",
    "capabilities-inheritable", "capabilities-ambient", "signals-blocked", "signals-ignored", "oom-score-adj",
    "login-uid", "keep-capabilities", "secure-bits", "parent-death-signal", "child-subreaper", "dumpable",
    "nice", "scheduler", "io-priority", "timer-slack", "personality", "coredump-filter", "huge-pages-disabled",
)  # fmt: skip

# Not judged: they depend on the machine, or are looked at from outside.
FACTS = {
    "processors", "seccomp-filters", "speculative-store-bypass", "limit-core", "limit-memlock", "limit-msgqueue",
    "limit-nofile", "limit-nproc", "limit-sigpending", "mounts", "mounts-show-host-paths", "namespaces",
    "user-namespace",
}  # fmt: skip
