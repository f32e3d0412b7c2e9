# SPDX-License-Identifier: GPL-3.0-or-later
"""bpf(2): the programs that decide about a cgroup."""

from __future__ import annotations

import ctypes
import os

from .attempt import BPF
from .libc import Int, Pointer, ULong, call

BPF_PROG_QUERY = 16
BPF_CGROUP_DEVICE = 6


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


def count_device_programs(cgroup: int) -> int | None:
    """How many are attached to the open cgroup directory; None where the call's number is not known."""
    number = BPF.get(os.uname().machine)
    if number is None:
        return None
    query = _Query(target_fd=cgroup, attach_type=BPF_CGROUP_DEVICE)
    call(number, "bpf", Int, Pointer, ULong)(BPF_PROG_QUERY, ctypes.addressof(query), ctypes.sizeof(query))
    return int(query.prog_cnt)
