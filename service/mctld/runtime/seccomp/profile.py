# SPDX-License-Identifier: GPL-3.0-or-later
"""What a filter shall answer, before it is compiled: values that can be compared, hashed and printed."""

from __future__ import annotations

from dataclasses import dataclass

# What a filter may answer, linux/seccomp.h; libseccomp's SCMP_ACT_* are the same numbers.
KILL_PROCESS = 0x80000000
KILL_THREAD = 0x00000000
TRAP = 0x00030000
LOG = 0x7FFC0000
NOTIFY = 0x7FC00000
ALLOW = 0x7FFF0000
ERRNO_MAX = 4095

# By machine as uname(2) has it: the native architecture and the 32-bit ones that its kernel runs too.
ARCHITECTURES = {
    "x86_64": ("X86_64", "X86", "X32"),
    "aarch64": ("AARCH64", "ARM"),
    "riscv64": ("RISCV64",),
    "ppc64le": ("PPC64LE",),
    "s390x": ("S390X", "S390"),
}


def runs(machine: str) -> tuple[str, ...]:
    """Of a machine that we do not know, only what libseccomp takes for native."""
    return ARCHITECTURES.get(machine, ("NATIVE",))


def errno_action(number: int) -> int:
    return 0x00050000 | number


def trace_action(message: int) -> int:
    return 0x7FF00000 | message


@dataclass(frozen=True, slots=True)
class Condition:
    """On one argument of a call, all 64 bits of it. The operator is libseccomp's SCMP_CMP_* without that prefix.

    MASKED_EQ: (argument & value) == value_two.
    """

    index: int
    operator: str
    value: int
    value_two: int = 0


def is_int(index: int, value: int) -> Condition:
    """Of an argument that the kernel takes as an int: it ignores the upper half, and so must we (CVE-2019-10063)."""
    return Condition(index, "MASKED_EQ", 0xFFFFFFFF, value)


@dataclass(frozen=True, slots=True)
class Rule:
    """The action for these calls where all conditions hold."""

    names: tuple[str, ...]
    action: int
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """`exceptions` come first: what depends on arguments. `rules` decide what no exception has decided.

    `foreign` is the answer to calls of other architectures. With `newer_enosys`, calls with numbers above all that
    the rules name are ENOSYS instead of `default`, so that libc falls back to an older call.
    """

    architectures: tuple[str, ...]
    default: int
    foreign: int
    rules: tuple[Rule, ...]
    exceptions: tuple[Rule, ...] = ()
    newer_enosys: bool = False
