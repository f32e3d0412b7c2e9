# SPDX-License-Identifier: GPL-3.0-or-later
"""Other processes' memory, NUMA policy, execution domains, pipes' pages."""

from __future__ import annotations

import ctypes
import mmap
import os
import struct

from .calls import call, prctl
from .registry import probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .registry import Probe

PTRACE_TRACEME = 0
KCMP_FILES = 2
PERSONALITIES = {
    "query": 0xFFFFFFFF, "linux": 0, "linux32": 8, "uname26": 0x20000, "linux32-uname26": 0x20008,
    "no-randomization": 0x40000, "read-implies-exec": 0x400000, "mmap-page-zero": 0x100000,
}  # fmt: skip


def _personality(value: int) -> Probe:
    def attempt() -> None:
        call("personality", value)

    return attempt


for _name, _value in PERSONALITIES.items():
    probe(f"personality-{_name}")(_personality(_value))


@probe("ptrace")
def ptrace() -> None:
    """Debuggers may work: since Linux 4.8 a tracer cannot go past a filter."""
    call("ptrace", PTRACE_TRACEME, 0, 0, 0)


@probe("process_vm_readv")
def process_vm_readv() -> None:
    source, target = ctypes.create_string_buffer(b"secret"), ctypes.create_string_buffer(6)
    local, remote = (struct.pack("PN", ctypes.addressof(buffer), 6) for buffer in (target, source))
    call("process_vm_readv", os.getpid(), local, 1, remote, 1, 0)


@probe("process_vm_writev")
def process_vm_writev() -> None:
    call("process_vm_writev", os.getpid(), 0, 0, 0, 0, 0)


@probe("pidfd_getfd")
def pidfd_getfd() -> None:
    call("pidfd_getfd", os.pidfd_open(os.getppid()), 0, 0)


@probe("kcmp")
def kcmp() -> None:
    """Compares kernel pointers: a help for exploits."""
    call("kcmp", os.getpid(), os.getppid(), KCMP_FILES, 0, 0)


@probe("vmsplice")
def vmsplice() -> None:
    """Puts pages into a pipe by reference (Dirty Pipe's family)."""
    reading, writing = os.pipe()
    text = ctypes.create_string_buffer(b"x")
    call("vmsplice", writing, struct.pack("PN", ctypes.addressof(text), 1), 1, 0)
    os.close(reading)


@probe("move_pages")
def move_pages() -> None:
    call("move_pages", 0, 0, 0, 0, 0, 0)


@probe("migrate_pages")
def migrate_pages() -> None:
    call("migrate_pages", 0, 0, 0, 0)


@probe("mbind")
def mbind() -> None:
    page = mmap.mmap(-1, mmap.PAGESIZE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    call("mbind", address, mmap.PAGESIZE, 0, 0, 0, 0)


@probe("set_mempolicy")
def set_mempolicy() -> None:
    call("set_mempolicy", 0, 0, 0)


@probe("get_mempolicy")
def get_mempolicy() -> None:
    call("get_mempolicy", 0, 0, 0, 0, 0)


@probe("set_mempolicy_home_node")
def set_mempolicy_home_node() -> None:
    call("set_mempolicy_home_node", 0, 0, 0, 0)


@probe("setuid-file-gains-nothing")
def setuid_file_gains_nothing() -> str:
    """A set-user-ID copy of Python, executed by user 1000: no_new_privs takes the gain away."""
    with open("/proc/self/exe", "rb") as source, open("/tmp/setuid", "wb") as copy:
        copy.write(source.read())
    os.chown("/tmp/setuid", 0, 0)
    os.chmod("/tmp/setuid", 0o4755)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        os.dup2(writing, 1)
        os.setgroups([])
        os.setresgid(1000, 1000, 1000)
        os.setresuid(1000, 1000, 1000)
        os.execv("/tmp/setuid", ["python3", "-IBS", "-c", "import os; print(os.geteuid())"])
    os.close(writing)
    answer = os.read(reading, 64).decode().strip()
    os.waitpid(child, 0)
    os.unlink("/tmp/setuid")
    return {"0": "gained root", "": "could not be tried"}.get(answer, f"user {answer}")


@probe("prctl-set-mm")
def prctl_set_mm() -> None:
    """PR_SET_MM_EXE_FILE would let a process pretend to be another program; it takes CAP_SYS_RESOURCE."""
    prctl(35, 13, 0)


