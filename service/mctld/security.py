# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container's processes may do beyond what files and limits say: frozen, and valid from birth on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import capability
from .bounds import check_printable, check_range, check_text, shown
from .errors import InvalidArgs
from .hidden import MASKED, READ_ONLY

if TYPE_CHECKING:
    from collections.abc import Iterable

EVERYTHING = "ALL"  # in place of a capability's name or of a path to unmask
AUTO, HOST = "auto", "host"  # user namespaces; else the first of 65,536 ids in decimal
SECCOMP_PROFILES = ("default", "strict", "unconfined")
SECCOMP_TEXT_MAX = 256 << 10
UNMASKED_MAX = 64
SYSCTLS_MAX = 64
ID_RANGE = 65_536
RLIMIT_INFINITY = 2**64 - 1
RLIMIT_MAX = 2**63 - 1  # the most that Python's resource module passes on

# setrlimit(2), without RLIMIT_: soft and hard limit of a payload unless others are asked for. PID 1's own defaults
# for services where it has some (systemd-system.conf(5)), the kernel's otherwise.
RLIMITS: dict[str, tuple[int, int]] = {
    "AS": (RLIMIT_INFINITY, RLIMIT_INFINITY),
    "CORE": (0, RLIMIT_INFINITY),
    "CPU": (RLIMIT_INFINITY, RLIMIT_INFINITY),
    "DATA": (RLIMIT_INFINITY, RLIMIT_INFINITY),
    "FSIZE": (RLIMIT_INFINITY, RLIMIT_INFINITY),
    "MEMLOCK": (8 << 20, 8 << 20),
    "MSGQUEUE": (819_200, 819_200),
    "NICE": (0, 0),
    "NOFILE": (1024, 524_288),
    "NPROC": (RLIMIT_INFINITY, RLIMIT_INFINITY),
    "RSS": (RLIMIT_INFINITY, RLIMIT_INFINITY),
    "RTPRIO": (0, 0),
    "RTTIME": (RLIMIT_INFINITY, RLIMIT_INFINITY),
    "SIGPENDING": (RLIMIT_INFINITY, RLIMIT_INFINITY),
    "STACK": (8 << 20, RLIMIT_INFINITY),
}

# What lies in the container's own namespaces: network, IPC (namespaces(7), proc_sys_kernel(5)). All else is the host's.
_SYSCTL = re.compile(r"[a-zA-Z0-9_-]+([./][a-zA-Z0-9_*:@-]+)+", re.ASCII)
_NAMESPACED_PREFIXES = ("net.", "fs.mqueue.", "kernel.msg", "kernel.shm")
_NAMESPACED = frozenset(("kernel.sem", "kernel.auto_msgmni", "kernel.domainname"))


@dataclass(frozen=True, slots=True)
class Security:
    """The walls of one container; the defaults are what an ordinary user gets without being asked.

    capabilities: kept in the bounding set, and by root. ambient: those that a command of another user begins with,
    the ones asked for by name. seccomp: a name of SECCOMP_PROFILES or the text of an OCI profile in JSON.
    """

    capabilities: tuple[str, ...] = capability.DEFAULT
    ambient: tuple[str, ...] = ()
    seccomp: str = "default"
    no_new_privileges: bool = True
    unmask: tuple[str, ...] = ()
    user_namespace: str = AUTO
    oom_score_adjust: int = 0
    rlimits: tuple[tuple[str, int, int], ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for name in (*self.capabilities, *self.ambient):
            check_capability("Capability", name)
        check_text("Seccomp", self.seccomp, SECCOMP_TEXT_MAX)
        if self.seccomp not in SECCOMP_PROFILES and not self.seccomp.lstrip().startswith("{"):
            known = ", ".join(SECCOMP_PROFILES)
            raise InvalidArgs(f"Seccomp {shown(self.seccomp)} is neither of {known} nor a profile in JSON")
        self._check_unmask()
        self._check_user_namespace()
        check_range("OOMScoreAdjust", self.oom_score_adjust, -1000, 1000)
        self._check_rlimits()
        self._check_sysctls()

    @property
    def has_user_namespace(self) -> bool:
        return self.user_namespace != HOST

    @property
    def first_id(self) -> int | None:
        """The range that was asked for by number."""
        return None if self.user_namespace in (AUTO, HOST) else int(self.user_namespace)

    @property
    def resource_limits(self) -> dict[str, tuple[int, int]]:
        """All of them, asked for or not: nothing is left to what the service happens to have."""
        return {**RLIMITS, **{name: (soft, hard) for name, soft, hard in self.rlimits}}

    @property
    def raised_limits(self) -> tuple[tuple[str, int, int], ...]:
        """Those beyond what everybody gets."""
        return tuple(limit for limit in self.rlimits if limit[2] > RLIMITS[limit[0]][1])

    @property
    def preparing_limits(self) -> dict[str, tuple[int, int]]:
        """Under which a container is set up: no lower than the defaults, for ten descriptors would not do."""
        usual = RLIMITS
        return {n: (max(s, usual[n][0]), max(h, usual[n][1])) for n, (s, h) in self.resource_limits.items()}

    @property
    def asked_capabilities(self) -> tuple[str, ...]:
        """Beyond what everybody gets."""
        return tuple(name for name in self.capabilities if name not in capability.DEFAULT)

    def _check_rlimits(self) -> None:
        names = [name for name, _, _ in self.rlimits]
        for name, soft, hard in self.rlimits:
            _check_rlimit(name, soft, hard)
            if names.count(name) > 1:
                raise InvalidArgs(f"Rlimits {name} is given twice")

    def _check_unmask(self) -> None:
        if len(self.unmask) > UNMASKED_MAX:
            raise InvalidArgs(f"Unmask has {len(self.unmask)} entries: the most is {UNMASKED_MAX}")
        for path in self.unmask:
            check_printable("Unmask", path, 4095)
            if path != EVERYTHING and path.rstrip("/") not in (*MASKED, *READ_ONLY):
                known = ", ".join(sorted({*MASKED, *READ_ONLY}))
                raise InvalidArgs(f"Unmask {shown(path)} is neither {EVERYTHING} nor one of what is masked: {known}")

    def _check_user_namespace(self) -> None:
        text = self.user_namespace
        if text in (AUTO, HOST):
            return
        if not (text.isascii() and text.isdigit() and len(text) <= 10 and str(int(text)) == text):
            raise InvalidArgs(f"UserNamespace {shown(text)} is not {AUTO}, {HOST} or the first id of a range")
        check_range("UserNamespace", int(text), ID_RANGE, 2**32 - 1 - ID_RANGE)

    def _check_sysctls(self) -> None:
        if len(self.sysctls) > SYSCTLS_MAX:
            raise InvalidArgs(f"Sysctls has {len(self.sysctls)} entries: the most is {SYSCTLS_MAX}")
        for key, value in self.sysctls:
            check_printable("Sysctls key", key, 255)
            check_printable("Sysctls value", value, 4095)
            if not _SYSCTL.fullmatch(key) or ".." in key:
                raise InvalidArgs(f"Sysctls key {shown(key)} is not a name such as net.ipv4.ip_forward")
            dotted = key.replace("/", ".")
            if dotted not in _NAMESPACED and not dotted.startswith(_NAMESPACED_PREFIXES):
                raise InvalidArgs(
                    f"Sysctls key {shown(key)} would change the whole host: only net.*, fs.mqueue.*, kernel.msg*, "
                    "kernel.shm* and kernel.sem are a container's own"
                )


def check_capability(key: str, name: str) -> str:
    if name not in capability.NUMBERS:
        raise InvalidArgs(f"{key} {shown(name)} is not known: see capabilities(7), names are given without CAP_")
    return name


def keep_set(add: Iterable[str], drop: Iterable[str]) -> tuple[str, ...]:
    """The capabilities that stay, as docker and podman read --cap-add and --cap-drop; ALL stands for all.

    Additions win over drop ALL, drops over add ALL; a name both added and dropped is a contradiction.
    """
    added, dropped = [_plain("AddCapabilities", n) for n in add], [_plain("DropCapabilities", n) for n in drop]
    both = (set(added) & set(dropped)) - {EVERYTHING}
    if both or (EVERYTHING in added and EVERYTHING in dropped):
        raise InvalidArgs(f"capability {sorted(both)[0] if both else EVERYTHING} is both added and dropped")
    base = () if EVERYTHING in dropped else capability.DEFAULT
    kept = {*base, *added} if EVERYTHING not in added else {*capability.NAMES}
    kept -= {EVERYTHING, *dropped}
    return tuple(name for name in capability.NAMES if name in kept)


def named(add: Iterable[str]) -> tuple[str, ...]:
    """Those asked for by name, in order."""
    wanted = {_plain("AddCapabilities", n) for n in add}
    return tuple(name for name in capability.NAMES if name in wanted)


def _plain(key: str, name: str) -> str:
    plain = name.upper().removeprefix("CAP_")
    return plain if plain == EVERYTHING else check_capability(key, plain)


def _check_rlimit(name: str, soft: int, hard: int) -> None:
    if name not in RLIMITS:
        raise InvalidArgs(f"Rlimits {shown(name)} is not known; known are {', '.join(RLIMITS)}")
    for value in (soft, hard):
        if value != RLIMIT_INFINITY:
            check_range(f"Rlimits {name}", value, 0, RLIMIT_MAX)
    if soft > hard:
        raise InvalidArgs(f"Rlimits {name} has a soft limit of {soft} above its hard limit of {hard}")
