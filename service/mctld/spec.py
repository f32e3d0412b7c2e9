# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container shall be: frozen, and valid from birth on."""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass, field

from .bounds import INFINITY, check_printable, check_range, check_text, shown
from .errors import InvalidArgs
from .limits import Limits
from .networking import Networking

NAME_RULE = "1 to 63 of a-z, 0-9 and -, beginning with a letter or digit"
ID_MAX = 2**32 - 2  # (uid_t) -1 means "no change" to the kernel

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=", re.ASCII)
_USER = re.compile(r"(0|[1-9][0-9]{0,9})(?::(0|[1-9][0-9]{0,9}))?", re.ASCII)

ARGUMENTS_MAX = 1 << 20  # bytes of the command and its arguments together
VARIABLES_MAX = 1024
VARIABLE_MAX = 32 << 10  # bytes of one NAME=VALUE
LABELS_MAX = 64
LABEL_MAX = 4096


def check_name(name: str) -> str:
    """A container's name: also a host name, a part of a unit name and of an object path."""
    if not _NAME.fullmatch(name):
        raise InvalidArgs(f"name {shown(name)} is not valid: use {NAME_RULE}")
    return name


@dataclass(frozen=True, slots=True)
class User:
    """Ids inside the container."""

    uid: int = 0
    gid: int = 0

    @classmethod
    def parse(cls, text: str) -> User:
        """`UID` or `UID:GID`, decimal, without sign, space or leading zero (CVE-2024-40635)."""
        match = _USER.fullmatch(text)
        if not match:
            raise InvalidArgs(f"User {shown(text)} is not UID or UID:GID in decimal")
        uid = int(match[1])
        gid = int(match[2] or 0)
        return cls(check_range("User id", uid, 0, ID_MAX), check_range("User group id", gid, 0, ID_MAX))

    def __str__(self) -> str:
        return f"{self.uid}:{self.gid}"


@dataclass(frozen=True, slots=True)
class Rootfs:
    """A directory of the host that serves, read-only, as the lower layer.

    device and inode pin the very directory that was authorized: a path can be made to lead elsewhere later. Device
    numbers may change with each boot, so the device counts only during `boot`, a boot_id of random(4).
    owner None: files show their own owners inside. Else only files of that uid and gid show, as root's.
    """

    path: str
    device: int
    inode: int
    owner: tuple[int, int] | None = None
    boot: str = ""


@dataclass(frozen=True, slots=True)
class Spec:
    """Everything that is asked for before the first start."""

    name: str
    rootfs: Rootfs
    command: tuple[str, ...]
    environment: tuple[str, ...] = ()
    working_directory: str = "/"
    hostname: str = ""
    user: User = field(default_factory=User)
    limits: Limits = field(default_factory=Limits)
    networking: Networking = field(default_factory=Networking)
    labels: tuple[tuple[str, str], ...] = ()
    stop_signal: int = signal.SIGTERM
    timeout_stop_usec: int = 10_000_000
    auto_remove: bool = False

    def __post_init__(self) -> None:
        check_name(self.name)
        self._check_command()
        self._check_environment()
        self._check_labels()
        check_printable("WorkingDirectory", self.working_directory, 4095)
        if not self.working_directory.startswith("/"):
            raise InvalidArgs(f"WorkingDirectory {shown(self.working_directory)} is not an absolute path")
        if self.hostname and not _HOSTNAME.fullmatch(self.hostname):
            raise InvalidArgs(f"Hostname {shown(self.hostname)} is not valid: use up to 64 letters, digits, - and .")
        check_range("StopSignal", self.stop_signal, 1, 64)
        check_range("TimeoutStopUSec", self.timeout_stop_usec, 0, INFINITY)

    def _check_command(self) -> None:
        if not self.command or not self.command[0]:
            raise InvalidArgs("Command is empty: name the program to run")
        for argument in self.command:
            check_text("Command", argument, 128 << 10)  # MAX_ARG_STRLEN, execve(2)
        if sum(len(os.fsencode(a)) + 1 for a in self.command) > ARGUMENTS_MAX:
            raise InvalidArgs(f"Command is longer than {ARGUMENTS_MAX} bytes in all")

    def _check_environment(self) -> None:
        if len(self.environment) > VARIABLES_MAX:
            raise InvalidArgs(f"Environment has {len(self.environment)} variables: the most is {VARIABLES_MAX}")
        for variable in self.environment:
            if not _VARIABLE.match(variable):
                raise InvalidArgs(f"Environment {shown(variable)} is not NAME=VALUE")
            check_text("Environment", variable, VARIABLE_MAX)

    def _check_labels(self) -> None:
        if len(self.labels) > LABELS_MAX:
            raise InvalidArgs(f"Labels has {len(self.labels)} entries: the most is {LABELS_MAX}")
        for key, value in self.labels:
            check_printable("Labels key", key, 128)
            check_printable("Labels value", value, LABEL_MAX)
