# SPDX-License-Identifier: GPL-3.0-or-later
"""bpf(2): the programs that decide about a cgroup."""

from __future__ import annotations

import ctypes
import os

from .attempt import BPF, BPF_PROG_LOAD, BPF_PROG_TYPE_CGROUP_DEVICE, ProgramLoad
from .libc import Int, Pointer, ULong, call

BPF_PROG_ATTACH = 8
BPF_PROG_QUERY = 16
INGRESS, EGRESS, DEVICE, BIND4, BIND6 = 0, 1, 6, 8, 9  # BPF_CGROUP_*, linux/bpf.h
BPF_F_ALLOW_MULTI = 2
ATTACHED_MAX = 64  # BPF_CGROUP_MAX_PROGS, kernel/bpf/cgroup.c
INSTRUCTION = 8  # bytes


class _Query(ctypes.Structure):
    """The beginning of union bpf_attr, linux/bpf.h."""

    _fields_ = (
        ("target_fd", ctypes.c_uint32),
        ("attach_type", ctypes.c_uint32),
        ("query_flags", ctypes.c_uint32),
        ("attach_flags", ctypes.c_uint32),
        ("prog_ids", ctypes.c_uint64),
        ("prog_cnt", ctypes.c_uint32),
    )


def attached(cgroup: int, kind: int) -> tuple[int, ...] | None:
    """The ids of those of a kind at the open cgroup directory, which no others will have; None where the call's number
    is not known.
    """
    number = BPF.get(os.uname().machine)
    if number is None:
        return None
    room = (ctypes.c_uint32 * ATTACHED_MAX)()
    query = _Query(target_fd=cgroup, attach_type=kind, prog_ids=ctypes.addressof(room), prog_cnt=ATTACHED_MAX)
    call(number, "bpf", Int, Pointer, ULong)(BPF_PROG_QUERY, ctypes.addressof(query), ctypes.sizeof(query))
    return tuple(room[: query.prog_cnt])


class _Attach(ctypes.Structure):
    """The beginning of union bpf_attr, linux/bpf.h."""

    _fields_ = (
        ("target_fd", ctypes.c_uint32),
        ("attach_bpf_fd", ctypes.c_uint32),
        ("attach_type", ctypes.c_uint32),
        ("attach_flags", ctypes.c_uint32),
    )


def _bpf(command: int, attributes: ctypes.Structure) -> int:
    machine = os.uname().machine
    if machine not in BPF:
        raise NotImplementedError(machine)
    return call(BPF[machine], "bpf", Int, Pointer, ULong)(
        command, ctypes.addressof(attributes), ctypes.sizeof(attributes)
    )


def load_device_program(program: bytes) -> int:
    """A descriptor of it. The answer in register 0 says whether a device may be opened or made."""
    instructions = ctypes.create_string_buffer(program, len(program))
    licence = ctypes.create_string_buffer(b"GPL")
    wanted = ProgramLoad(
        BPF_PROG_TYPE_CGROUP_DEVICE, len(program) // INSTRUCTION, ctypes.addressof(instructions),
        ctypes.addressof(licence),
    )  # fmt: skip
    return _bpf(BPF_PROG_LOAD, wanted)


def attach_device_program(program: int, cgroup: int) -> None:
    """Beside others, such as PID 1's: all of them must allow."""
    _bpf(BPF_PROG_ATTACH, _Attach(cgroup, program, DEVICE, BPF_F_ALLOW_MULTI))
