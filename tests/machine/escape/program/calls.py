# SPDX-License-Identifier: GPL-3.0-or-later
"""Raw system calls by name: libc must not stand in between."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os

from .registry import Skipped

ARCHITECTURE = os.uname().machine
X86 = ARCHITECTURE == "x86_64"
MINUS_ONE = -1
CLONE_NEWNS, CLONE_NEWUTS = 0x00020000, 0x04000000
UNKNOWN = 9999  # no kernel knows it

# name: x86_64 (arch/x86/entry/syscalls/syscall_64.tbl), aarch64 (asm-generic/unistd.h); from 424 on they are the same
_OLD: dict[str, tuple[int | None, int | None]] = {
    "ioctl": (16, 29), "clone": (56, 220), "ptrace": (101, 117), "syslog": (103, 116), "uselib": (134, None),
    "personality": (135, 92), "ustat": (136, None), "sysfs": (139, None), "vhangup": (153, 58),
    "pivot_root": (155, 41), "_sysctl": (156, None), "adjtimex": (159, 171), "acct": (163, 89),
    "settimeofday": (164, 170), "mount": (165, 40), "umount2": (166, 39), "swapon": (167, 224), "swapoff": (168, 225),
    "reboot": (169, 142), "sethostname": (170, 161), "setdomainname": (171, 162), "iopl": (172, None),
    "ioperm": (173, None), "init_module": (175, 105), "delete_module": (176, 106), "quotactl": (179, 60),
    "nfsservctl": (180, 42), "lookup_dcookie": (212, 18), "clock_settime": (227, 112), "mbind": (237, 235),
    "set_mempolicy": (238, 237), "get_mempolicy": (239, 236), "kexec_load": (246, 104), "add_key": (248, 217),
    "request_key": (249, 218), "keyctl": (250, 219), "migrate_pages": (256, 238), "unshare": (272, 97),
    "vmsplice": (278, 75), "move_pages": (279, 239), "perf_event_open": (298, 241), "fanotify_init": (300, 262),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "clock_adjtime": (305, 266),
    "setns": (308, 268), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "finit_module": (313, 273), "kexec_file_load": (320, 294), "bpf": (321, 280), "userfaultfd": (323, 282),
    "ioprio_get": (252, 31), "getcpu": (309, 168),
}  # fmt: skip
_NEW = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "pidfd_open": 434, "clone3": 435,
    "pidfd_getfd": 438, "process_madvise": 440, "mount_setattr": 442, "quotactl_fd": 443,
    "set_mempolicy_home_node": 450, "map_shadow_stack": 453, "statmount": 457, "listmount": 458,
    "lsm_get_self_attr": 459, "lsm_set_self_attr": 460, "lsm_list_modules": 461, "open_tree_attr": 467,
}  # fmt: skip

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long


def number(name: str) -> int:
    """Raises Skipped where this architecture has no such call."""
    found = _NEW[name] if name in _NEW else _OLD[name][0 if X86 else 1]
    if found is None:
        raise Skipped(f"{ARCHITECTURE} has no {name}")
    return found


def call(name: str, *arguments: int | bytes | ctypes.Array[ctypes.c_char]) -> int:
    """Raises OSError with the kernel's errno."""
    return call_number(number(name), *arguments)


def call_number(wanted: int, *arguments: int | bytes | ctypes.Array[ctypes.c_char]) -> int:
    passed = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result: int = _LIBC.syscall(ctypes.c_long(wanted), *passed)
    if result == MINUS_ONE:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def isolate() -> None:
    """Where new namespaces are allowed, what comes next happens in them and disturbs no later probe."""
    with contextlib.suppress(OSError):
        call("unshare", CLONE_NEWNS | CLONE_NEWUTS)


def name_of(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, str(error))


def prctl(option: int, *arguments: int) -> int:
    result: int = _LIBC.prctl(option, *[ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]])
    if result == MINUS_ONE:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
