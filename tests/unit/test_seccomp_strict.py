# SPDX-License-Identifier: GPL-3.0-or-later
"""What the profile "strict" answers, call by call. That programs work under it: tests/kernel/test_seccomp.py."""

from __future__ import annotations

from functools import cache

import pytest

from mctld import capability
from mctld.runtime.seccomp import default, profiles, program, strict
from unit import bpf

HIGH = 1 << 32
OUTSIDE = """
    ptrace process_vm_readv process_vm_writev kcmp pidfd_open memfd_create personality mknodat chroot capset seccomp
    io_submit mq_open shmget semget msgget name_to_handle_at fanotify_mark splice tee vmsplice keyctl mount unshare
    landlock_restrict_self setfsuid sched_setscheduler mlockall remap_file_pages userfaultfd bpf perf_event_open
"""
NATIVE = ("X86_64", "AARCH64")
MACHINES = {"X86_64": "x86_64", "AARCH64": "aarch64"}


@cache
def compiled(architecture: str, caps: frozenset[str] = frozenset()) -> bpf.Filter:
    rules = profiles.resolve("strict", caps, MACHINES[architecture])
    assert rules is not None
    return bpf.Filter(program.compile_profile(rules))


def ask(architecture: str, call: str | int, *arguments: int) -> str:
    return compiled(architecture).ask(architecture, call, *arguments)


@pytest.mark.parametrize("architecture", NATIVE)
@pytest.mark.parametrize(
    "call",
    OUTSIDE.split(),
)
def test_what_default_allows_and_strict_does_not(architecture: str, call: str) -> None:
    assert ask(architecture, call) == "EPERM"


@pytest.mark.parametrize("architecture", NATIVE)
def test_three_families_of_sockets(architecture: str) -> None:
    for call in ("socket", "socketpair"):
        for high in (0, HIGH, 0xFFFFFFFF00000000):
            answers = {family: ask(architecture, call, family | high, 1, 0) for family in range(64)}
            assert {family for family, answer in answers.items() if answer == "ALLOW"} == {1, 2, 10}
            assert set(answers.values()) == {"ALLOW", "EAFNOSUPPORT"}


@pytest.mark.parametrize("architecture", NATIVE)
def test_threads_but_no_namespaces(architecture: str) -> None:
    assert ask(architecture, "clone", 0x3D0F00) == "ALLOW"
    assert ask(architecture, "clone", 0x10000011) == "EPERM"
    assert ask(architecture, "clone3") == "ENOSYS"


@pytest.mark.parametrize("architecture", NATIVE)
def test_terminals_and_attributes(architecture: str) -> None:
    assert ask(architecture, "ioctl", 0, 0x5401) == "ALLOW"
    assert ask(architecture, "ioctl", 0, 0x5412 | HIGH) == "EPERM"
    assert ask(architecture, "ioctl", 0, 0x541C) == "EPERM"
    for call in ("getxattr", "fsetxattr", "llistxattr", "removexattr"):
        assert ask(architecture, call) == "ENOTSUP"


@pytest.mark.parametrize("foreign", ["X86", "X32", "ARM", "AARCH64"])
def test_other_architectures_have_no_calls(foreign: str) -> None:
    assert {compiled("X86_64").ask(foreign, found) for _, found in bpf.numbers(foreign)} == {"ENOSYS"}


def test_what_nobody_knows_yet_is_enosys() -> None:
    assert {ask("X86_64", number) for number in (400, *range(600, 700), -1)} == {"ENOSYS"}


def test_capabilities_change_nothing() -> None:
    everything = compiled("X86_64", frozenset(capability.NUMBERS))
    for call, found in bpf.numbers("X86_64"):
        assert everything.ask("X86_64", found) == ask("X86_64", found), call


def test_it_allows_a_part_of_default() -> None:
    rules = profiles.resolve("default", frozenset(), "x86_64")
    assert rules is not None
    wide = bpf.Filter(program.compile_profile(rules)).allowed("X86_64")
    narrow = {call for call, found in bpf.numbers("X86_64") if found <= 450 and ask("X86_64", found, 1) == "ALLOW"}
    assert narrow - {"clone"} < wide | {"socket", "socketpair"}
    assert len(narrow) == 166


def test_the_names_are_in_one_list_only() -> None:
    listed = f"{strict._ALLOWED} {strict._ATTRIBUTES} socket socketpair".split()
    assert len(set(listed)) == len(listed)
    assert set(listed) <= default.known()
