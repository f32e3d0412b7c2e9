# SPDX-License-Identifier: GPL-3.0-or-later
"""capabilities(7): what the payload keeps."""

from __future__ import annotations

import prctl

from ..kernel import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .stage import Descriptors

# podman's eleven: docker's without MKNOD, NET_RAW and AUDIT_WRITE
DEFAULT = (
    "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE",
    "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
)  # fmt: skip

NUMBERS = {
    name: number
    for number, name in enumerate(
        (
            "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
            "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
            "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
            "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
            "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
            "CHECKPOINT_RESTORE",
        )
    )
}  # fmt: skip


def last() -> int:
    """The highest capability that this kernel knows."""
    with open("/proc/sys/kernel/cap_last_cap") as file:
        return int(file.read())


def mask(names: list[str]) -> int:
    return sum(1 << NUMBERS[name] for name in names)


def limit_bounding_set(_: Descriptors, keep: list[str], last: int) -> None:
    """While we still hold CAP_SETPCAP. `last` is read by the planner: /proc may be gone here."""
    kept = mask(keep)
    for number in range(last + 1):
        if not kept >> number & 1:
            prctl.capbset_drop(number)


def set_capabilities(_: Descriptors, keep: list[str]) -> None:
    """Effective and permitted become `keep`; inheritable and ambient are empty (CVE-2022-29162)."""
    process.clear_ambient()
    kept = mask(keep)
    process.set_capabilities(kept, kept, 0)


def forbid_new_privileges(_: Descriptors) -> None:
    prctl.set_no_new_privs(1)
