# SPDX-License-Identifier: GPL-3.0-or-later
"""Which system calls a running process may make: its seccomp filters, read from the kernel and run here.

seccomp(2), ptrace(2) PTRACE_SECCOMP_GET_FILTER. Needs root outside of any filter, and CONFIG_CHECKPOINT_RESTORE.
"""

from __future__ import annotations

import ctypes
import os
import struct
from dataclasses import dataclass

SEIZE, INTERRUPT, DETACH, GET_FILTER = 0x4206, 0x4207, 17, 0x420C
ALLOW, LOG = 0x7FFF0000, 0x7FFC0000
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# All that Linux 5.16 has on x86-64: 362. The same numbers for every engine is what counts here.
NUMBERS = (*range(335), *range(424, 451))
DATA_BYTES = 64  # struct seccomp_data: number, architecture, instruction pointer, six arguments
WORD = 0xFFFFFFFF

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.ptrace.restype = ctypes.c_long
_LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


@dataclass(frozen=True)
class Instruction:
    """struct sock_filter"""

    code: int
    jump_true: int
    jump_false: int
    k: int


Filter = list[Instruction]


def allowed(filters: list[Filter], architecture: str) -> list[int]:
    """The calls that every filter lets through when all arguments are zero."""
    arch = AUDIT_ARCH[architecture]
    return [n for n in NUMBERS if all(decide(f, struct.pack("=II56x", n, arch)) in (ALLOW, LOG) for f in filters)]


def of_process(pid: int, *, ancestor: int) -> list[Filter]:
    """Oldest first, without those that its ancestor has too."""
    outer = _count(ancestor)
    _ptrace(SEIZE, pid, 0, 0)
    try:
        _ptrace(INTERRUPT, pid, 0, 0)
        os.waitpid(pid, 0x40000000)  # __WALL
        return [_filter(pid, index) for index in range(outer, _count(pid))]
    finally:
        _LIBC.ptrace(DETACH, pid, 0, 0)


def _count(pid: int) -> int:
    with open(f"/proc/{pid}/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    return int(fields["Seccomp_filters"])


def _filter(pid: int, index: int) -> Filter:
    count = _ptrace(GET_FILTER, pid, index, 0)
    buffer = ctypes.create_string_buffer(8 * count)
    _ptrace(GET_FILTER, pid, index, ctypes.addressof(buffer))
    return [Instruction(*fields) for fields in struct.iter_unpack("=HBBI", buffer.raw)]


def _ptrace(request: int, pid: int, address: int, data: int) -> int:
    result: int = _LIBC.ptrace(request, pid, address, data)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def decide(program: Filter, data: bytes) -> int:
    """Classic BPF, linux/bpf_common.h: what the program returns for this call."""
    data = data.ljust(DATA_BYTES, b"\0")
    accumulator, index, memory, place = 0, 0, [0] * 16, 0
    while True:
        step = program[place]
        place += 1
        kind, operand = step.code & 7, index if step.code & 8 else step.k
        if kind == 6:  # RET
            return accumulator if step.code & 0x18 == 0x10 else step.k
        if kind == 5:  # JMP
            place += _jump(step, accumulator, operand)
        elif kind == 0:  # LD: absolute, immediate or from memory
            accumulator = _load(step, data, memory)
        elif kind == 1:
            index = _load(step, data, memory)
        elif kind == 4:
            accumulator = _calculate(step.code & 0xF0, accumulator, operand)
        elif kind in (2, 3):
            memory[step.k] = accumulator if kind == 2 else index
        else:  # MISC: TAX, TXA
            accumulator, index = (index, index) if step.code & 0x80 else (accumulator, accumulator)


def _load(step: Instruction, data: bytes, memory: list[int]) -> int:
    mode = step.code & 0xE0
    if mode == 0x20:
        value: int = struct.unpack_from("=I", data, step.k)[0]
        return value
    return {0x00: step.k, 0x60: memory[step.k & 15], 0x80: DATA_BYTES}[mode]


def _jump(step: Instruction, accumulator: int, operand: int) -> int:
    operation = step.code & 0xF0
    if operation == 0x00:
        return step.k
    taken = {0x10: accumulator == operand, 0x20: accumulator > operand, 0x30: accumulator >= operand,
             0x40: bool(accumulator & operand)}[operation]  # fmt: skip
    return step.jump_true if taken else step.jump_false


def _calculate(operation: int, left: int, right: int) -> int:
    results = {0x00: left + right, 0x10: left - right, 0x20: left * right, 0x40: left | right, 0x50: left & right,
               0x60: left << (right & 31), 0x70: left >> (right & 31), 0x80: -left, 0xA0: left ^ right}  # fmt: skip
    return results[operation] & WORD
