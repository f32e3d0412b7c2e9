# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands between a container and the kernel: system call filters, security modules, two settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .finding import Finding, Verdict

if TYPE_CHECKING:
    from .host import Host

ACTIONS = frozenset({"allow", "errno", "kill_process"})  # seccomp(2)
LSM = "/sys/kernel/security/lsm"


@dataclass(frozen=True, slots=True)
class Seccomp:
    filters: bool
    actions: frozenset[str] | None
    library: str = ""  # why libseccomp, which makes the filters, cannot be used


def read_seccomp(host: Host, library: str = "") -> Seccomp:
    status = host.text("/proc/self/status") or ""
    return Seccomp("\nSeccomp_filters:" in status, host.words("/proc/sys/kernel/seccomp/actions_avail"), library)


def seccomp(facts: Seccomp) -> Finding:
    without = "No container can be started but with --security-opt seccomp=unconfined."
    remedy = "install a kernel that is built with CONFIG_SECCOMP_FILTER"
    if facts.library:
        found = f"libseccomp cannot be used: {facts.library}"
        return Finding("seccomp", Verdict.MISSING, found, without, "apt install --reinstall python3-seccomp")
    if facts.actions is None and facts.filters:
        meaning = "Filters can be loaded; the kernel does not tell which actions they may have."
        return Finding("seccomp", Verdict.UNKNOWN, "/proc/sys/kernel/seccomp/actions_avail cannot be read", meaning)
    if facts.actions is None:
        return Finding("seccomp", Verdict.MISSING, "the kernel has no system call filters", without, remedy)
    absent = sorted(ACTIONS - facts.actions)
    if absent:
        return Finding(
            "seccomp", Verdict.MISSING, f"filters without the actions {', '.join(absent)}", without,
            "install a kernel of version 4.14 or newer",
        )  # fmt: skip
    return Finding("seccomp", Verdict.OK, "filters with all actions", "System calls of containers are filtered.")


def security_modules(text: str | None) -> Finding:
    """`text` of the kernel's list, None where securityfs is not there. They are welcome, not needed."""
    if text is None:
        return Finding("lsm", Verdict.UNKNOWN, f"{LSM} cannot be read", "Nothing depends on it.")
    names = text.strip().split(",")
    walls = [name for name in ("apparmor", "selinux", "smack", "tomoyo") if name in names]
    meaning = "One wall more around the host's services." if walls else "Nothing depends on one."
    return Finding("lsm", Verdict.OK, ", ".join(names), meaning)


def kernel_messages(restricted: int | None) -> Finding:
    """kernel.dmesg_restrict, Documentation/admin-guide/sysctl/kernel.rst."""
    if restricted is None:
        return Finding("dmesg", Verdict.UNKNOWN, "kernel.dmesg_restrict cannot be read", "Nothing depends on it.")
    if restricted == 0:
        return Finding(
            "dmesg",
            Verdict.WARNING,
            "kernel.dmesg_restrict is 0",
            "Every user of the host may read the kernel's messages, and so may whoever gets out of a container.",
            "sysctl -w kernel.dmesg_restrict=1, and the same line in a file below /etc/sysctl.d",
        )
    return Finding("dmesg", Verdict.OK, "kernel.dmesg_restrict is 1", "The kernel's messages are root's.")


def terminal_injection(allowed: int | None) -> Finding:
    """dev.tty.legacy_tiocsti, since Linux 6.2: typing into a terminal that one only shares."""
    meaning = "Who shares a terminal with others, as with su and sudo, can type commands into it (ioctl TIOCSTI)."
    if allowed is None:
        found = "the kernel has no dev.tty.legacy_tiocsti: it came with Linux 6.2"
        return Finding("tiocsti", Verdict.WARNING, found, meaning, "install Linux 6.2 or newer")
    if allowed:
        remedy = "sysctl -w dev.tty.legacy_tiocsti=0, and the same line in a file below /etc/sysctl.d"
        return Finding("tiocsti", Verdict.WARNING, "dev.tty.legacy_tiocsti is 1", meaning, remedy)
    return Finding("tiocsti", Verdict.OK, "dev.tty.legacy_tiocsti is 0", "Nobody types into another's terminal.")
