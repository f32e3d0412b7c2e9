# SPDX-License-Identifier: GPL-3.0-or-later
"""The other doors into an x86-64 kernel: int 0x80 with i386's numbers, and x32's numbers.

A filter that looks only at x86-64's numbers is walked around here.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct

from .calls import ARCHITECTURE, X86, call_number
from .registry import Skipped, probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .registry import Probe

X32_BIT = 0x40000000
# arch/x86/entry/syscalls/syscall_32.tbl; arguments that are harmless, none is a pointer (int 0x80 takes 32 bits)
I386 = {
    "getpid": (20, 0, 0, 0), "mount": (21, 0, 0, 0), "unshare": (310, 0x10000000, 0, 0), "keyctl": (288, 0, -3, 0),
    "bpf": (357, 7, 0, 16), "socketcall": (102, 1, 0, 0), "socket-alg": (359, 38, 5, 0),
    "userfaultfd": (374, 1, 0, 0), "io_uring_setup": (425, 1, 0, 0), "fsopen": (430, 0, 0, 0),
    "personality": (136, 0x40000, 0, 0), "clone-new-user": (120, 0x10000011, 0, 0), "vmsplice": (316, -1, 0, 0),
}  # fmt: skip
X32 = {"getpid": 39, "mount": 165, "unshare": 272, "keyctl": 250, "bpf": 321}

# push rbx; mov eax,edi; mov ebx,esi; mov r8d,ecx; mov ecx,edx; mov edx,r8d; xor esi,esi; xor edi,edi; int 0x80;
# pop rbx; ret
INT80 = bytes.fromhex("53 89f8 89f3 4189c8 89d1 4489c2 31f6 31ff cd80 5b c3")


def int80(number: int, *arguments: int) -> int:
    """The result of a call through the 32-bit door; raises OSError. Without that door: SIGSEGV."""
    if not X86:
        raise Skipped(f"{ARCHITECTURE} has no int 0x80")
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(INT80)
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    function = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_int] * 4)(address)
    result: int = function(number, *arguments)
    if not result and number == I386["clone-new-user"][0]:
        os._exit(0)
    if -4096 < result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


def _i386(name: str) -> Probe:
    def attempt() -> str | None:
        result = int80(*I386[name])
        if name == "getpid":
            return "own pid" if result == os.getpid() else f"got {result}"
        return None

    return attempt


def _x32(name: str) -> Probe:
    def attempt() -> None:
        if not X86:
            raise Skipped(f"{ARCHITECTURE} has no x32")
        call_number(X32_BIT | X32[name], 0x10000000 if name == "unshare" else 0, 0, 0, 0, 0)

    return attempt


for _name in I386:
    probe(f"i386-{_name}")(_i386(_name))
for _name in X32:
    probe(f"x32-{_name}")(_x32(_name))


@probe("i386-socketcall-alg")
def i386_socketcall_alg() -> None:
    """socket(AF_ALG) as socketcall(2) hides its family behind a pointer, out of a filter's sight."""
    if not X86:
        raise Skipped(f"{ARCHITECTURE} has no int 0x80")
    low = 0x40  # MAP_32BIT
    page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | low)
    page.write(struct.pack("3i", 38, 5, 0))
    int80(102, 1, ctypes.addressof(ctypes.c_char.from_buffer(page)), 0)
