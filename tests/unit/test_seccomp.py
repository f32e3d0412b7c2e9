# SPDX-License-Identifier: GPL-3.0-or-later
"""What the profile "default" answers, call by call: compiled programs, run in a model of the kernel's machine."""

from __future__ import annotations

import struct
from functools import cache

import pytest

from mctld import capability
from mctld.runtime.seccomp import default, profiles, program
from unit import bpf

DEFAULT = frozenset(capability.DEFAULT)
HIGH = 1 << 32  # what the kernel does not see of an int
NEWUSER, NEWNS, NEWCGROUP, NEWNET = 0x10000000, 0x00020000, 0x02000000, 0x40000000
THREAD, FORK = 0x3D0F00, 0x1200011  # flags of pthread_create(3) and fork(3), glibc
INTEL, ARM = ("X86_64", "X86", "X32"), ("AARCH64", "ARM")
EVERYWHERE = (*INTEL, *ARM)


@cache
def compiled(architecture: str, extra: frozenset[str] = frozenset(), profile: str = "default") -> bpf.Filter:
    machine = "x86_64" if architecture in INTEL else "aarch64" if architecture in ARM else architecture.lower()
    rules = profiles.resolve(profile, DEFAULT | extra, machine)
    assert rules is not None
    return bpf.Filter(program.compile_profile(rules))


def ask(architecture: str, call: str | int, *arguments: int, caps: str = "") -> str:
    return compiled(architecture, frozenset(caps.split())).ask(architecture, call, *arguments)


ALLOWED = """
    read write openat openat2 close execve execveat exit_group munmap mprotect brk futex rt_sigaction rt_sigreturn
    prctl seccomp ptrace process_vm_readv process_vm_writev setresuid setgroups capset chroot mknodat fchownat
    epoll_ctl timerfd_create memfd_create getrandom statx pidfd_open close_range faccessat2 landlock_restrict_self
    name_to_handle_at sched_setaffinity adjtimex clock_gettime inotify_add_watch io_submit rseq
"""
REFUSED = """
    unshare setns mount umount2 pivot_root fsopen fsconfig fsmount fspick move_mount open_tree mount_setattr
    bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register keyctl add_key request_key
    kexec_load reboot swapon swapoff init_module finit_module delete_module acct quotactl quotactl_fd
    open_by_handle_at lookup_dcookie syslog settimeofday clock_settime sethostname setdomainname vhangup nfsservctl
    kcmp move_pages mbind set_mempolicy get_mempolicy migrate_pages vmsplice fanotify_init pidfd_getfd process_madvise
"""


@pytest.mark.parametrize("architecture", EVERYWHERE)
@pytest.mark.parametrize("call", ALLOWED.split())
def test_what_programs_use_is_allowed(architecture: str, call: str) -> None:
    assert ask(architecture, call) == "ALLOW"


@pytest.mark.parametrize("architecture", EVERYWHERE)
@pytest.mark.parametrize("call", REFUSED.split())
def test_what_is_known_and_dangerous_is_refused(architecture: str, call: str) -> None:
    try:
        bpf.number(architecture, call)
    except LookupError:
        assert call in {"settimeofday", "nfsservctl"}, "the table of this test is wrong"
        assert architecture in ("X32", "AARCH64")
        return
    assert ask(architecture, call) == "EPERM"


@pytest.mark.parametrize(
    ("architecture", "call"),
    [("X86_64", "iopl"), ("X86_64", "ioperm"), ("X86_64", "kexec_file_load"), ("X86_64", "uselib"), ("X86", "umount"),
     ("X86", "vm86"), ("X86", "stime"), ("X86", "clock_settime64"), ("X86", "socketcall"), ("ARM", "clock_settime64")],
)  # fmt: skip
def test_what_some_architectures_have_besides(architecture: str, call: str) -> None:
    assert ask(architecture, call) == "EPERM"


@pytest.mark.parametrize("architecture", EVERYWHERE)
def test_what_nobody_knows_yet_is_enosys(architecture: str) -> None:
    """So that libc falls back to an older call: EPERM would be taken for an answer."""
    first = bpf.X32_BIT if architecture == "X32" else 0
    assert {ask(architecture, first + n) for n in range(600, 700)} == {"ENOSYS"}
    assert ask(architecture, "clone3") == "ENOSYS"


def test_a_number_that_no_table_has_is_enosys_even_between_known_ones() -> None:
    assert ask("X86_64", 400) == "ENOSYS"
    assert ask("X86_64", -1) == "ENOSYS"


@pytest.mark.parametrize("architecture", EVERYWHERE)
@pytest.mark.parametrize("high", [0, HIGH, 0xFFFFFFFF00000000])
def test_namespaces_cannot_be_made(architecture: str, high: int) -> None:
    for flags in (0, 17, FORK, THREAD, THREAD | 0x80000):
        assert ask(architecture, "clone", flags | high) == "ALLOW"
    for flag in (NEWNS, NEWCGROUP, 0x04000000, 0x08000000, NEWUSER, 0x20000000, NEWNET):
        assert ask(architecture, "clone", flag | 17 | high) == "EPERM"


def test_where_the_flags_are_the_second_argument() -> None:
    """s390x is of the other byte order: libseccomp compiles for it only there."""
    clone = [e for e in default.profile(DEFAULT, "s390x").exceptions if e.names == ("clone",)]
    assert [[c.index for c in rule.conditions] for rule in clone] == [[1]]


@pytest.mark.parametrize("architecture", EVERYWHERE)
@pytest.mark.parametrize("call", ["socket", "socketpair"])
@pytest.mark.parametrize("high", [0, HIGH, 0xFFFFFFFF00000000])
def test_socket_families(architecture: str, call: str, high: int) -> None:
    refused = {f for f in range(64) if ask(architecture, call, f | high, 1, 0) != "ALLOW"}
    assert refused == {38, 40}
    assert {ask(architecture, call, f | high, 1, 0) for f in refused} == {"EPERM"}


@pytest.mark.parametrize("operation", range(25))
def test_old_32_bit_sockets_hide_their_family(operation: int) -> None:
    assert ask("X86", "socketcall", operation) == "EPERM"


@pytest.mark.parametrize("architecture", EVERYWHERE)
def test_the_audit_socket(architecture: str) -> None:
    for high in (0, HIGH):
        assert ask(architecture, "socket", 16 | high, 3, 9 | high) == "EINVAL"
        assert ask(architecture, "socket", 16 | high, 3, 9 | high, caps="AUDIT_WRITE") == "ALLOW"
    assert ask(architecture, "socket", 16, 3, 0) == "ALLOW"  # NETLINK_ROUTE
    assert ask(architecture, "socket", 2, 3, 9) == "ALLOW"


@pytest.mark.parametrize("architecture", EVERYWHERE)
def test_nobody_types_into_a_terminal(architecture: str) -> None:
    for high in (0, HIGH, 0xFFFFFFFF00000000):
        refused = {c for c in range(0x5400, 0x5480) if ask(architecture, "ioctl", 0, c | high) != "ALLOW"}
        assert refused == {0x5412, 0x541C}
    assert ask(architecture, "ioctl", 0x5412, 0x5401) == "ALLOW"  # the descriptor's number means nothing


@pytest.mark.parametrize("architecture", EVERYWHERE)
def test_personalities(architecture: str) -> None:
    for high in (0, HIGH):
        for value in (0, 8, 0x20000, 0x20008, 0xFFFFFFFF):
            assert ask(architecture, "personality", value | high) == "ALLOW"
        for value in (1, 0x0040000, 0x0400000, 0x20009, 0xFFFFFFFE):  # ADDR_NO_RANDOMIZE, READ_IMPLIES_EXEC
            assert ask(architecture, "personality", value | high) == "EPERM"


@pytest.mark.parametrize("architecture", EVERYWHERE)
@pytest.mark.parametrize(
    ("capability", "calls"),
    [
        ("SYS_ADMIN", "mount umount2 unshare setns fsopen open_tree bpf perf_event_open clone3 syslog pivot_root"),
        ("SYS_PTRACE", "kcmp pidfd_getfd process_madvise"),
        ("SYS_NICE", "mbind set_mempolicy get_mempolicy"),
        ("SYS_TIME", "clock_settime"),
        ("SYS_MODULE", "init_module finit_module delete_module"),
        ("DAC_READ_SEARCH", "open_by_handle_at"),
        ("SYS_BOOT", "reboot"),
        ("SYS_PACCT", "acct"),
        ("SYS_TTY_CONFIG", "vhangup"),
        ("SYSLOG", "syslog"),
        ("BPF", "bpf"),
        ("PERFMON", "perf_event_open"),
    ],
)  # fmt: skip
def test_a_capability_brings_its_calls_and_no_others(architecture: str, capability: str, calls: str) -> None:
    without, with_it = compiled(architecture), compiled(architecture, frozenset({capability}))
    for call in calls.split():
        assert without.ask(architecture, call) in ("EPERM", "ENOSYS")
        assert with_it.ask(architecture, call) == "ALLOW"
    brought = with_it.allowed(architecture) - without.allowed(architecture)
    assert brought <= set(default.WITH_CAPABILITY[capability].split())


@pytest.mark.parametrize("architecture", EVERYWHERE)
def test_never_whatever_the_capabilities(architecture: str) -> None:
    everything = compiled(architecture, frozenset(capability.NUMBERS))
    for call in ("io_uring_setup", "keyctl", "add_key", "userfaultfd", "kexec_load", "vmsplice", "swapon"):
        assert everything.ask(architecture, call) == "EPERM"
    assert everything.ask(architecture, "clone", NEWUSER | 17) == "ALLOW"
    assert everything.ask(architecture, "ioctl", 0, 0x5412) == "EPERM"
    assert everything.ask(architecture, "socket", 38) == "EPERM"


def test_chroot_goes_with_its_capability() -> None:
    rules = default.profile(DEFAULT - {"SYS_CHROOT"}, "x86_64")
    assert bpf.Filter(program.compile_profile(rules)).ask("X86_64", "chroot") == "EPERM"


def test_each_call_of_x86_64_has_been_thought_of() -> None:
    """Numbers up to 450, what Linux 5.17 had: a call in no list would be ENOSYS by oversight."""
    absent = """
        _sysctl afs_syscall create_module epoll_ctl_old epoll_wait_old get_kernel_syms getpmsg putpmsg query_module
        security tuxcall vserver clone3
    """  # the kernel itself says ENOSYS, but for clone3
    answers = {call: ask("X86_64", found) for call, found in bpf.numbers("X86_64") if found <= 450}
    assert {call for call, answer in answers.items() if answer == "ENOSYS"} == set(absent.split())
    assert len(answers) == 362
    assert list(answers.values()).count("ALLOW") == 292


def test_the_names_are_in_one_list_only() -> None:
    listed = default._ALLOWED.split()
    assert len(set(listed)) == len(listed)
    other = f"{default.REFUSED} {' '.join(default.WITH_CAPABILITY.values())}".split()
    assert not set(listed) & set(other)


def test_the_program_is_of_a_size_that_the_kernel_takes() -> None:
    sizes = {
        machine: len(program.compile_profile(default.profile(DEFAULT, machine))) // 8
        for machine in ("x86_64", "aarch64", "riscv64", "ppc64le")
    }
    assert max(sizes.values()) < 2048, sizes


def test_the_model_refuses_what_the_kernel_refuses() -> None:
    good = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)
    bpf.Machine(good)
    for bad in (
        b"",
        good[:7],
        good * 4097,
        struct.pack("=HBBI", 0x05, 0, 0, 0),  # jumps to the end
        struct.pack("=HBBI", 0x15, 1, 0, 0) + good,
        struct.pack("=HBBI", 0x28, 0, 0, 0) + good,  # loads half a word
        struct.pack("=HBBI", 0x20, 0, 0, 64) + good,  # beyond struct seccomp_data
        good + struct.pack("=HBBI", 0x20, 0, 0, 0),
    ):
        with pytest.raises(bpf.Rejected):
            bpf.Machine(bad)
