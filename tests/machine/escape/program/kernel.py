# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls that reach the host's kernel as a whole, with arguments that do no harm where they are let through.

Where the kernel's order of checks allows it the arguments are such that an open way answers EFAULT, EBADF or EINVAL:
EPERM then comes from a filter and not from the kernel's own look at capabilities.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct

from .calls import MINUS_ONE, UNKNOWN, call, call_number, isolate
from .registry import probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .registry import Probe

AF_ALG, AF_VSOCK = 38, 40
BPF_OBJ_GET = 7
UFFD_USER_MODE_ONLY = 1
PROCESS_KEYRING, SESSION_KEYRING = -2, -3
KEYCTL_GET_KEYRING_ID, KEYCTL_JOIN_SESSION_KEYRING = 0, 1
SYSLOG_ACTION_READ_ALL, SYSLOG_ACTION_SIZE_BUFFER = 3, 10
NOWHERE = b"/nowhere"
TIMEX = 208  # struct timex, 64 bit; modes is its first int, ADJ_TICK with a tick of 0 is invalid
ADJ_TICK = struct.pack("i", 0x4000).ljust(TIMEX, b"\0")


def _call(name: str, *arguments: int | bytes) -> Probe:
    def attempt() -> None:
        isolate()
        call(name, *arguments)

    return attempt


def _socket(family: int, kind: int, protocol: int = 0) -> Probe:
    def attempt() -> None:
        socket.socket(family, kind, protocol).close()

    return attempt


_ATTEMPTS = {
    "bpf": _call("bpf", BPF_OBJ_GET, 0, 16),
    "perf_event_open": _call("perf_event_open", 0, 0, MINUS_ONE, MINUS_ONE, 0),
    "userfaultfd": _call("userfaultfd", UFFD_USER_MODE_ONLY),
    "io_uring_setup": _call("io_uring_setup", 1, bytes(120)),
    "io_uring_enter": _call("io_uring_enter", MINUS_ONE, 0, 0, 0, 0, 0),
    "io_uring_register": _call("io_uring_register", MINUS_ONE, 0, 0, 0),
    "add_key": _call("add_key", b"user", b"probe", b"secret", 6, PROCESS_KEYRING),
    "request_key": _call("request_key", b"user", b"probe", 0, 0),
    "keyctl": _call("keyctl", KEYCTL_GET_KEYRING_ID, SESSION_KEYRING, 0),
    "keyctl-join-a-session": _call("keyctl", KEYCTL_JOIN_SESSION_KEYRING, b"probe"),
    "socket-alg": _socket(AF_ALG, 5),
    "socket-vsock": _socket(AF_VSOCK, 1),
    "socket-packet": _socket(17, 3, 0x0300),
    "socket-raw": _socket(2, 3, 1),
    "kexec_load": _call("kexec_load", 0, 0, 0, 0xFFFF),
    "kexec_file_load": _call("kexec_file_load", MINUS_ONE, MINUS_ONE, 0, 0, 0xFFFF),
    "reboot": _call("reboot", 0, 0, 0, 0),  # wrong magic numbers: EINVAL where it is open
    "swapon": _call("swapon", NOWHERE, 0),
    "swapoff": _call("swapoff", NOWHERE),
    "iopl": _call("iopl", 3),
    "ioperm": _call("ioperm", 0x80, 1, 1),
    "init_module": _call("init_module", 0, 0, b""),
    "finit_module": _call("finit_module", MINUS_ONE, b"", 0),
    "delete_module": _call("delete_module", b"nothing", 0),
    "acct": _call("acct", NOWHERE),
    "quotactl": _call("quotactl", MINUS_ONE, 0, 0, 0),
    "quotactl_fd": _call("quotactl_fd", MINUS_ONE, MINUS_ONE, 0, 0),
    "syslog-read": _call("syslog", SYSLOG_ACTION_READ_ALL, bytes(64), 64),
    "syslog-size": _call("syslog", SYSLOG_ACTION_SIZE_BUFFER, 0, 0),
    "settimeofday": _call("settimeofday", 0, 0),
    "clock_settime": _call("clock_settime", 0, 0),
    "clock_adjtime": _call("clock_adjtime", 0, ADJ_TICK),
    "adjtimex": _call("adjtimex", ADJ_TICK),
    "sethostname": _call("sethostname", b"probe", 5),
    "setdomainname": _call("setdomainname", b"probe", 5),
    "vhangup": _call("vhangup"),
    "fanotify_init": _call("fanotify_init", 0xFFFFFFFF, 0),
    "lookup_dcookie": _call("lookup_dcookie", 0, 0, 0),
    "nfsservctl": _call("nfsservctl", 0, 0, 0),
    "uselib": _call("uselib", NOWHERE),
    "ustat": _call("ustat", 0, 0),
    "sysfs": _call("sysfs", 3, 0, 0),
    "_sysctl": _call("_sysctl", 0),
    "lsm_set_self_attr": _call("lsm_set_self_attr", 0, 0, 0, 0),
}
for _name, _attempt in _ATTEMPTS.items():
    probe(_name)(_attempt)


@probe("session-keyring")
def session_keyring() -> int:
    """Its number: where it can be asked for at all it is not that of the service or of another container."""
    return call("keyctl", KEYCTL_GET_KEYRING_ID, SESSION_KEYRING, 0)


@probe("unknown-system-call")
def unknown_system_call() -> None:
    """ENOSYS, as a kernel without it would say: programs then try the older way."""
    call_number(UNKNOWN)


@probe("open_by_handle_at")
def open_by_handle_at() -> None:
    """The "shocker": a file by its inode number, past every path. struct file_handle: size, type, bytes."""
    handle = ctypes.create_string_buffer(struct.pack("Ii", 8, 1) + struct.pack("II", 2, 0), 16)  # ext4's root: inode 2
    call("open_by_handle_at", os.open("/", os.O_RDONLY), handle, os.O_RDONLY)


@probe("nftables-new-table")
def nftables_new_table() -> str:
    """CVE-2024-1086 began here: NFT_MSG_NEWTABLE in a batch needs CAP_NET_ADMIN over the network namespace."""
    family = struct.pack(">BBH", 2, 0, 0)  # nfgenmsg: AF_INET, version, resource id
    batch = struct.pack(">BBH", 0, 0, 10)  # for the subsystem nftables
    name = struct.pack("HH", 4 + 6, 1) + b"probe\0\0\0"
    request, acknowledge = 1, 4
    messages = ((16, request, batch), (10 << 8, request | acknowledge | 0x400, family + name), (17, request, batch))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as channel:
        channel.settimeout(2)
        channel.send(b"".join(
            struct.pack("IHHII", 16 + len(body), kind, flags, number, 0) + body
            for number, (kind, flags, body) in enumerate(messages)
        ))  # fmt: skip
        answer = channel.recv(4096)
    error = struct.unpack_from("i", answer, 16)[0]
    if error:
        raise OSError(-error, os.strerror(-error))
    return "ok"
