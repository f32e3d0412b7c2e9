# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a machine in front of a service: gives it all that a process can inherit, then becomes it.

python3 -IS poison.py PROGRAM. Nothing of this may show in a container.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import sys

DESCRIPTORS = 490
IGNORED = ("HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "WINCH")
PR_SET_TIMERSLACK, PR_SET_THP_DISABLE, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 29, 41, 47, 2
CAP_SYS_ADMIN, CAPABILITY_VERSION_3 = 21, 0x20080522
ADDR_NO_RANDOMIZE, IDLE_CLASS = 0x40000, 3 << 13
IOPRIO_SET = {"x86_64": 251, "aarch64": 30}[os.uname().machine]
LIBC = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    settings()
    capabilities()
    for name in IGNORED:
        signal.signal(signal.Signals[f"SIG{name}"], signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGRTMIN, signal.SIGPROF))
    directory = os.open("/etc", os.O_RDONLY)
    for number in range(10, 10 + DESCRIPTORS):
        os.dup2(directory, number, inheritable=True)
    leaks = {"LEAK": "yes", "http_proxy": "http://leak", "PYTHONWARNINGS": "error", "CREDENTIALS_DIRECTORY": "/etc",
             "DBUS_SESSION_BUS_ADDRESS": "unix:path=/leak"}  # fmt: skip
    os.execve(sys.argv[1], sys.argv[1:], {**os.environ, **leaks})


def settings() -> None:
    os.umask(0o007)
    os.nice(7)
    os.setgroups([4, 6])
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    LIBC.syscall(IOPRIO_SET, 1, 0, IDLE_CLASS)
    LIBC.prctl(PR_SET_TIMERSLACK, 7_000_000, 0, 0, 0)
    LIBC.prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)
    LIBC.personality(ADDR_NO_RANDOMIZE)
    with open("/proc/self/coredump_filter", "w") as file:
        file.write("0x7f")
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    os.chdir("/etc")


def capabilities() -> None:
    """One that is inheritable and ambient, and so survives execve(2) (CVE-2022-29162)."""
    header = struct.pack("Ii", CAPABILITY_VERSION_3, 0)
    state = ctypes.create_string_buffer(24)
    LIBC.capget(header, state)
    effective, permitted, _, *upper = struct.unpack("6I", state.raw)
    LIBC.capset(header, struct.pack("6I", effective, permitted, 1 << CAP_SYS_ADMIN, *upper))
    LIBC.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0)


if __name__ == "__main__":
    main()
