# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a seccomp filter as the kernel does: classic BPF over struct seccomp_data, and checked as the kernel checks it.

linux/bpf_common.h, linux/filter.h; kernel/seccomp.c, seccomp_check_filter(); net/core/filter.c, bpf_check_classic().
"""

from __future__ import annotations

import errno
import struct
from functools import cache
from typing import TYPE_CHECKING

import seccomp

if TYPE_CHECKING:
    from collections.abc import Iterator

INSTRUCTION = struct.Struct("=HBBI")
DATA = struct.Struct("=iIQ6Q")  # nr, arch, instruction_pointer, args
WORD = 0xFFFFFFFF

AUDIT = {  # AUDIT_ARCH_*, linux/audit.h
    "X86_64": 0xC000003E,
    "X86": 0x40000003,
    "X32": 0xC000003E,
    "AARCH64": 0xC00000B7,
    "ARM": 0x40000028,
    "S390X": 0x80000016,
    "PPC64LE": 0xC0000015,
}
X32_BIT = 0x40000000

LD_ABS, LD_IMM, LDX_IMM, LD_MEM, LDX_MEM, ST, STX, TAX, TXA = 0x20, 0x00, 0x01, 0x60, 0x61, 0x02, 0x03, 0x07, 0x87
JA, RET_K, RET_A = 0x05, 0x06, 0x16
JUMPS = {0x10: "JEQ", 0x20: "JGT", 0x30: "JGE", 0x40: "JSET"}
OPERATIONS = {0x00: "ADD", 0x10: "SUB", 0x20: "MUL", 0x40: "OR", 0x50: "AND", 0x60: "LSH", 0x70: "RSH", 0xA0: "XOR"}
JUMP_CLASS, ALU_CLASS, FROM_X = 0x05, 0x04, 0x08


class Rejected(Exception):
    """The kernel would not take the program, EINVAL."""


class Machine:
    """One program, checked and ready to be asked."""

    def __init__(self, program: bytes) -> None:
        if not program or len(program) % INSTRUCTION.size:
            raise Rejected("not a whole number of instructions")
        self._program = list(INSTRUCTION.iter_unpack(program))
        if len(self._program) > 4096:
            raise Rejected("more than BPF_MAXINSNS instructions")
        for position, (code, jt, jf, k) in enumerate(self._program):
            self._check(position, code, jt, jf, k)

    def _check(self, position: int, code: int, jt: int, jf: int, k: int) -> None:
        last = len(self._program) - 1
        if code == LD_ABS:
            if k % 4 or k >= DATA.size:
                raise Rejected(f"{position}: load from offset {k}")
        elif code == JA:
            if position + 1 + k > last:
                raise Rejected(f"{position}: jump beyond the end")
        elif code & 0x07 == JUMP_CLASS and code & 0xF0 in JUMPS and code & ~0xFF == 0:
            if position + 1 + max(jt, jf) > last:
                raise Rejected(f"{position}: jump beyond the end")
        elif not (code & 0x07 == ALU_CLASS and code & 0xF0 in OPERATIONS) and code not in {
            LD_IMM, LDX_IMM, LD_MEM, LDX_MEM, ST, STX, TAX, TXA, RET_K, RET_A,
        }:  # fmt: skip
            raise Rejected(f"{position}: unknown code {code:#x}")
        if position == last and code not in (RET_K, RET_A):
            raise Rejected("does not end in a return")

    def run(self, number: int, architecture: int, arguments: tuple[int, ...] = ()) -> int:
        """The action, SECCOMP_RET_*; a number as the register has it, with the bit of x32."""
        signed = (number & WORD) - (1 << 32 if number & 0x80000000 else 0)
        words = [a & (2**64 - 1) for a in (*arguments, *(0,) * (6 - len(arguments)))]
        return self._run(DATA.pack(signed, architecture, 0, *words))

    def _run(self, data: bytes) -> int:
        a = x = position = 0
        memory = [0] * 16
        while True:
            code, jt, jf, k = self._program[position]
            position += 1
            if code == RET_K:
                return int(k)
            if code == RET_A:
                return a
            if code == LD_ABS:
                (a,) = struct.unpack_from("=I", data, k)
            elif code == JA:
                position += k
            elif code & 0x07 == JUMP_CLASS:
                position += jt if _holds(JUMPS[code & 0xF0], a, x if code & FROM_X else k) else jf
            elif code & 0x07 == ALU_CLASS:
                a = _compute(OPERATIONS[code & 0xF0], a, x if code & FROM_X else k)
            else:
                a, x = _move(code, k, a, x, memory)


def _holds(jump: str, a: int, operand: int) -> bool:
    return {"JEQ": a == operand, "JGT": a > operand, "JGE": a >= operand, "JSET": bool(a & operand)}[jump]


def _compute(operation: str, a: int, operand: int) -> int:
    shift = operand & 31
    return {
        "ADD": a + operand, "SUB": a - operand, "MUL": a * operand, "OR": a | operand, "AND": a & operand,
        "LSH": a << shift, "RSH": a >> shift, "XOR": a ^ operand,
    }[operation] & WORD  # fmt: skip


def _move(code: int, k: int, a: int, x: int, memory: list[int]) -> tuple[int, int]:
    if code in (ST, STX):
        memory[k] = a if code == ST else x
        return a, x
    return {
        LD_IMM: (k, x), LDX_IMM: (a, k), LD_MEM: (memory[k], x), LDX_MEM: (a, memory[k]), TAX: (a, a), TXA: (x, x),
    }[code]  # fmt: skip


class Filter:
    """A program, asked by name: answers "ALLOW", the name of an errno, or the number of the action."""

    def __init__(self, program: bytes) -> None:
        self._machine = Machine(program)

    def ask(self, architecture: str, call: str | int, *arguments: int) -> str:
        found = number(architecture, call) if isinstance(call, str) else call
        return name(self._machine.run(found, AUDIT[architecture], arguments))

    def allowed(self, architecture: str) -> set[str]:
        """Names of calls that are allowed with all arguments 0."""
        return {call for call, found in numbers(architecture) if self.ask(architecture, found) == "ALLOW"}


def name(action: int) -> str:
    if action == 0x7FFF0000:
        return "ALLOW"
    if action & 0xFFFF0000 == 0x00050000:
        return errno.errorcode[action & 0xFFFF]
    return f"{action:#x}"


def number(architecture: str, call: str) -> int:
    """By way of the numbers: for socket(2) of X86, libseccomp answers with the number of socketcall(2)."""
    try:
        return dict(numbers(architecture))[call]
    except KeyError:
        raise LookupError(f"{architecture} has no {call}") from None


@cache
def numbers(architecture: str) -> tuple[tuple[str, int], ...]:
    """All calls that libseccomp knows of, without those that are private to 32-bit ARM."""
    return tuple(_numbers(architecture))


def _numbers(architecture: str) -> Iterator[tuple[str, int]]:
    first = X32_BIT if architecture == "X32" else 0
    for found in range(first, first + 600):
        try:
            call = seccomp.resolve_syscall(getattr(seccomp.Arch, architecture), found)
        except ValueError:
            continue
        yield (call.decode() if isinstance(call, bytes) else call), found
