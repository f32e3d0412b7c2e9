# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of allowed devices as a program of the cgroup: BPF_PROG_TYPE_CGROUP_DEVICE of linux/bpf.h."""

from __future__ import annotations

import os
import struct

from ...errors import SetupFailed
from ...kernel import programs
from ..devices import ALL, GRANTED, Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Exceptions = dict[tuple[str, int, int], str]

# struct bpf_cgroup_dev_ctx: access_type (access << 16 | type), major, minor
BITS = {"m": 1, "r": 2, "w": 4}  # BPF_DEVCG_ACC_*
KINDS = {"b": 1, "c": 2}  # BPF_DEVCG_DEV_*

_INSTRUCTION = struct.Struct("<BBhi")
_LOAD, _SET, _AND, _SHIFT = 0x61, 0xB7, 0x54, 0x74  # BPF_LDX|MEM|W, BPF_ALU64|MOV, BPF_ALU|AND, BPF_ALU|RSH
_IF_NOT, _IF_SET, _JUMP, _EXIT = 0x55, 0x45, 0x05, 0x95  # BPF_JMP with JNE, JSET, JA and EXIT


def emulate(rules: Iterable[Rule]) -> tuple[bool, Exceptions]:
    """Whether all is allowed, and the exceptions, as the device controller of cgroup v1 took them, one by one."""
    allowed = False  # as with runc and crun, also without any list
    exceptions: Exceptions = {}
    for rule in rules:
        if rule.kind == "a":
            allowed, exceptions = rule.allow, {}
            continue
        key = (rule.kind, rule.major, rule.minor)
        before = set(exceptions.get(key, ""))
        after = before | set(rule.access) if rule.allow != allowed else before - set(rule.access)
        exceptions.pop(key, None)
        if after:
            exceptions[key] = "".join(sorted(after))
    return allowed, exceptions


def compile_rules(rules: Iterable[Rule]) -> bytes:
    """Registers: 2 type, 3 access, 4 major, 5 minor; 0 is the answer."""
    allowed, exceptions = emulate(rules)
    code = [
        (_LOAD, 2, 1, 0, 0), (_AND, 2, 0, 0, 0xFFFF), (_LOAD, 3, 1, 0, 0), (_SHIFT, 3, 0, 0, 16),
        (_LOAD, 4, 1, 4, 0), (_LOAD, 5, 1, 8, 0),
    ]  # fmt: skip
    for (kind, major, minor), access in exceptions.items():
        code += _exception(kind, major, minor, access, allowed=allowed)
    code += [(_SET, 0, 0, 0, int(allowed)), (_EXIT, 0, 0, 0, 0)]
    return b"".join(
        _INSTRUCTION.pack(op, source << 4 | target, offset, number) for op, target, source, offset, number in code
    )


def _exception(
    kind: str, major: int, minor: int, access: str, *, allowed: bool
) -> list[tuple[int, int, int, int, int]]:
    """Where it matches, the opposite of the default is the answer; else the next one is looked at."""
    bits = sum(BITS[letter] for letter in access)
    checks = [(_IF_NOT, 2, 0, KINDS[kind])]
    checks += [(_IF_NOT, 4, 0, major)] if major != ALL else []
    checks += [(_IF_NOT, 5, 0, minor)] if minor != ALL else []
    code = [(op, target, 0, 0, number) for op, target, _, number in checks]
    if allowed:  # denied where it asks for anything of it
        code += [(_IF_SET, 3, 0, 1, bits), (_JUMP, 0, 0, 2, 0)]
    elif bits != 7:  # allowed where it asks for nothing else
        code += [(_IF_SET, 3, 0, 2, 7 & ~bits)]
    code += [(_SET, 0, 0, 0, int(not allowed)), (_EXIT, 0, 0, 0, 0)]
    end = len(code)
    return [
        (op, target, source, end - index - 1 if op == _IF_NOT else offset, number)
        for index, (op, target, source, offset, number) in enumerate(code)
    ]


def install(directory: str, rules: Iterable[Rule]) -> None:
    """A user namespace's root may load none; there the kernel itself lets nobody make or open a node."""
    program = compile_rules((*rules, *GRANTED))
    group = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        loaded = programs.load_device_program(program)
        try:
            programs.attach_device_program(loaded, group)
        finally:
            os.close(loaded)
    except (OSError, NotImplementedError) as error:
        raise SetupFailed("confine the devices", error) from error
    finally:
        os.close(group)
