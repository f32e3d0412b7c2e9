# SPDX-License-Identifier: GPL-3.0-or-later
"""From a profile to the kernel's filter program, by libseccomp.

libseccomp keeps no order among rules, and a rule without conditions swallows all others for its call. So a profile's
exceptions become a program of their own, whose answer to what it does not decide is a jump to the program of the rules.
"""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING, Any

try:
    import seccomp
except ImportError:  # installed by pip, not by Debian: the same interface over ctypes
    import pyseccomp as seccomp

from ...errors import InvalidArgs
from .profile import ALLOW, LOG, errno_action

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .profile import Profile, Rule

INSTRUCTIONS_MAX = 4096  # BPF_MAXINSNS, linux/bpf_common.h
FORMAT = 1  # of what compile_profile makes: part of the key of the cache

PASS = 0x7FF0FFFF  # SECCOMP_RET_TRACE with a message that no profile of ours has: linked away, never loaded
ENOSYS = errno_action(errno.ENOSYS)
UNKNOWN = -1  # __NR_SCMP_ERROR

# struct sock_filter: code, jt, jf, k; BPF_LD|W|ABS, BPF_JMP with JA, JEQ, JGE and JGT, BPF_RET|K, linux/bpf_common.h
INSTRUCTION = struct.Struct("=HBBI")
LOAD, JUMP, IF_EQUAL, IF_GREATER, IF_AT_LEAST, RETURN = 0x20, 0x05, 0x15, 0x25, 0x35, 0x06
NUMBER, ARCHITECTURE = 0, 4  # offsets in struct seccomp_data, linux/seccomp.h

X32_BIT = 0x40000000
X32_ENTRY, X86_64_ENTRY = 0x4000003E, 0xC000003E  # the first is libseccomp's own token, the kernel has only the other
ARM_PRIVATE = 0xF0000  # __ARM_NR_BASE: cacheflush, set_tls and the like


def compile_profile(profile: Profile) -> bytes:
    code = _assemble(profile, profile.rules, profile.default, profile.foreign)
    if profile.exceptions:
        code = chain(_assemble(profile, profile.exceptions, PASS, PASS), code)
    if profile.newer_enosys and profile.default not in (ALLOW, LOG):
        code = refuse_newer(profile) + code
    if len(code) > INSTRUCTIONS_MAX * INSTRUCTION.size:
        raise InvalidArgs(
            f"Seccomp: the profile makes a filter of {len(code) // INSTRUCTION.size} instructions, "
            f"and the kernel takes {INSTRUCTIONS_MAX}: use fewer rules with args"
        )
    return code


def unknown(profile: Profile) -> tuple[str, ...]:
    """Names in the profile that this libseccomp does not know: they are left out, and so are as on an older kernel."""
    rules = (*profile.rules, *profile.exceptions)
    return tuple(sorted({name for rule in rules for name in rule.names if _resolve(name) == UNKNOWN}))


def _resolve(name: str) -> int:
    """The number here; of a call that only other architectures have, a negative one."""
    return int(seccomp.resolve_syscall(seccomp.Arch.NATIVE, name))


def _assemble(profile: Profile, rules: Iterable[Rule], default: int, foreign: int) -> bytes:
    draft = seccomp.SyscallFilter(signed(default))
    _set_architectures(draft, [token(name) for name in profile.architectures])
    draft.set_attr(seccomp.Attr.ACT_BADARCH, signed(foreign))
    draft.set_attr(seccomp.Attr.CTL_OPTIMIZE, 2)  # a tree over the numbers instead of a list
    for rule in rules:
        if rule.action != default:  # else it would change nothing, and libseccomp says EACCES
            _add(draft, rule)
    with open(os.memfd_create("filter", os.MFD_CLOEXEC), "w+b") as file:
        draft.export_bpf(file)
        file.seek(0)
        return file.read()


def _add(draft: Any, rule: Rule) -> None:
    conditions = [seccomp.Arg(c.index, getattr(seccomp, c.operator), c.value, c.value_two) for c in rule.conditions]
    for name in rule.names:
        number = _resolve(name)
        if number == UNKNOWN:
            continue
        try:
            draft.add_rule(signed(rule.action), number, *conditions)
        except (OSError, RuntimeError) as error:  # pyseccomp raises the one, libseccomp's own binding the other
            raise InvalidArgs(
                f"Seccomp: libseccomp does not take a rule for {name} ({error}); "
                "has another rule the same name and args, and another action?"
            ) from error


def signed(action: int) -> int:
    """libseccomp's binding takes an int of C: its own KILL_PROCESS is too large for it."""
    return action - 2**32 if action >= 2**31 else action


def token(architecture: str) -> int:
    return int(getattr(seccomp.Arch, architecture))


def entry(number: int) -> int:
    """A token as seccomp_data has it: the bindings differ in signs, and NATIVE is 0."""
    return number % 2**32 or native()


def native() -> int:
    return int(seccomp.system_arch()) % 2**32


def _set_architectures(draft: Any, tokens: Sequence[int]) -> None:
    """A new filter has the native one."""
    for number in tokens:
        if not draft.exist_arch(number):
            draft.add_arch(number)
    if native() not in {entry(number) for number in tokens}:
        draft.remove_arch(seccomp.Arch.NATIVE)


def chain(first: bytes, second: bytes) -> bytes:
    """One program: what `first` passes on is decided by `second`."""
    size = len(first) // INSTRUCTION.size
    linked = []
    for position, (code, jt, jf, k) in enumerate(INSTRUCTION.iter_unpack(first)):
        if (code, k) == (RETURN, PASS):
            linked.append(INSTRUCTION.pack(JUMP, 0, 0, size - position - 1))
        else:
            linked.append(INSTRUCTION.pack(code, jt, jf, k))
    return b"".join(linked) + second


def refuse_newer(profile: Profile) -> bytes:
    """ENOSYS for numbers above all that the rules name, as runc does: a profile cannot mean what it does not know."""
    names = {name for rule in profile.rules for name in rule.names}
    return b"".join(_refuse_above(token(architecture), names) for architecture in profile.architectures)


def _refuse_above(architecture: int, names: Iterable[str]) -> bytes:
    is_x32 = entry(architecture) == X32_ENTRY
    low, high = (X32_BIT, 2 * X32_BIT) if is_x32 else (0, X32_BIT)
    if architecture == seccomp.Arch.ARM:
        high = ARM_PRIVATE
    numbers = [seccomp.resolve_syscall(architecture, name) for name in names]
    top = max((number for number in numbers if low <= number < high), default=None)
    if top is None:
        return b""
    return b"".join(
        INSTRUCTION.pack(*instruction)
        for instruction in (
            (LOAD, 0, 0, ARCHITECTURE),
            (IF_EQUAL, 0, 5, X86_64_ENTRY if is_x32 else entry(architecture)),
            (LOAD, 0, 0, NUMBER),
            (IF_AT_LEAST, 3, 0, high),
            (IF_AT_LEAST, 0, 2, low),
            (IF_GREATER, 0, 1, top),
            (RETURN, 0, 0, ENOSYS),
        )
    )
