# SPDX-License-Identifier: GPL-3.0-or-later
"""What only an attempt tells: which system calls answer, whether the kernel takes a program for devices."""

from __future__ import annotations

import ctypes
import errno
import os

from .libc import Int, Long, Pointer, ULong, call

INVALID = 0xFFFFFFFF  # as flags or a descriptor

# Calls with arguments that the kernel must refuse: name -> (number, arguments). What it refuses them with tells.
CALLS: dict[str, tuple[int, tuple[int, ...]]] = {
    "pidfd_send_signal": (424, (INVALID, 0, 0, 0)),
    "open_tree": (428, (INVALID, 0, INVALID)),
    "move_mount": (429, (INVALID, 0, INVALID, 0, INVALID)),
    "fsopen": (430, (0, INVALID)),
    "fsconfig": (431, (INVALID, INVALID, 0, 0, 0)),
    "fsmount": (432, (INVALID, INVALID, 0)),
    "pidfd_open": (434, (INVALID, INVALID)),
    "clone3": (435, (0, 0)),
    "close_range": (436, (1, 0, INVALID)),
    "openat2": (437, (INVALID, 0, 0, 0)),
    "mount_setattr": (442, (INVALID, 0, INVALID, 0, 0)),
}
ABSENT = (errno.ENOSYS, errno.EPERM)  # an old kernel, or a seccomp filter around us

BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280, "s390x": 351, "ppc64le": 361}
BPF_PROG_LOAD = 5
BPF_PROG_TYPE_CGROUP_DEVICE = 15
ALLOW_ALL = bytes([0xB7, 0, 0, 0, 1, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0])  # r0 = 1; exit: what systemd tries too


class ProgramLoad(ctypes.Structure):
    """The beginning of union bpf_attr; the kernel takes the rest for zeros."""

    _fields_ = (
        ("prog_type", ctypes.c_uint32), ("insn_cnt", ctypes.c_uint32),
        ("insns", ctypes.c_uint64), ("license", ctypes.c_uint64),
    )  # fmt: skip


def refused() -> dict[str, str]:
    """Which of CALLS do not answer, and why."""
    found = {name: _errno(name, number, arguments) for name, (number, arguments) in CALLS.items()}
    return {name: os.strerror(code) for name, code in found.items() if code in ABSENT}


def _errno(name: str, number: int, arguments: tuple[int, ...]) -> int:
    try:
        call(number, name, *[Long] * len(arguments))(*arguments)
    except OSError as error:
        return error.errno or 0
    return 0


def load_device_program() -> None:
    """Raises OSError where the kernel takes none; NotImplementedError where the call's number is not known here."""
    machine = os.uname().machine
    if machine not in BPF:
        raise NotImplementedError(machine)
    program = ctypes.create_string_buffer(ALLOW_ALL, len(ALLOW_ALL))
    licence = ctypes.create_string_buffer(b"GPL")
    wanted = ProgramLoad(
        BPF_PROG_TYPE_CGROUP_DEVICE, len(ALLOW_ALL) // 8, ctypes.addressof(program), ctypes.addressof(licence)
    )
    bpf = call(BPF[machine], "bpf", Int, Pointer, ULong)
    os.close(bpf(BPF_PROG_LOAD, ctypes.addressof(wanted), ctypes.sizeof(wanted)))
