# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container shall be: frozen, and valid from birth on."""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .activation import Activation
from .bounds import INFINITY, check_address, check_printable, check_range, check_text, shown
from .credential import check_names
from .device import Device, check_devices
from .errors import InvalidArgs
from .health import HealthCheck
from .limits import Limits
from .mounts import TMPFS_BYTES, TMPFS_SIZE_LEAST, TMPFS_SIZE_MAX, Bind, HostPath, Tmpfs, check_targets
from .networking import Networking
from .ports import check_ports
from .restart import NO, RestartPolicy
from .security import ID_RANGE, Security

if TYPE_CHECKING:
    from .image import ImageRoot
    from .volume import VolumeMount

NAME_RULE = "1 to 63 of a-z, 0-9 and -, beginning with a letter or digit"
ID_MAX = 2**32 - 2  # (uid_t) -1 means "no change" to the kernel

# What makes a container ready, podman's words: its execution, its own READY=1 (sd_notify(3)), its health check.
BY_EXECUTION, BY_ITSELF, BY_HEALTH = "ignore", "container", "healthy"
SD_NOTIFY = (BY_EXECUTION, BY_ITSELF, BY_HEALTH)

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?")
_VARIABLE = re.compile(r"[^=\s\x00-\x1f\x7f-\x9f]+=")  # as docker: discovery.type=single-node is one
_ID = re.compile(r"0|[1-9][0-9]{0,9}", re.ASCII)
_ACCOUNT = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?", re.ASCII)
_HOST_ENTRY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?", re.ASCII)

HOST_GATEWAY = "host-gateway"  # in place of an address in /etc/hosts: where the container finds its host
ARGUMENTS_MAX = 1 << 20  # bytes of the command and its arguments together
VARIABLES_MAX = 1024
VARIABLE_MAX = 32 << 10  # bytes of one NAME=VALUE
HOSTS_MAX = 256
NAME_SERVERS_MAX = 3  # MAXNS, resolver(5)
SEARCH_DOMAINS_MAX = 6  # MAXDNSRCH, which not every C library has given up
LABELS_MAX = 64
LABEL_MAX = 4096
LABELS_BYTES = 32 << 10  # keys and values of one object: they are in memory, for each of thousands


def check_name(name: str) -> str:
    """A container's name: also a host name, a part of a unit name and of an object path."""
    if not _NAME.fullmatch(name):
        raise InvalidArgs(f"name {shown(name)} is not valid: use {NAME_RULE}")
    return name


@dataclass(frozen=True, slots=True)
class User:
    """As whom the command runs: decimal ids, or names of the container's own /etc/passwd and /etc/group.

    group empty: the user's own group, or 0 where /etc/passwd does not know the user.
    """

    user: str = "0"
    group: str = ""

    def __post_init__(self) -> None:
        for part in (self.user, *((self.group,) if self.group else ())):
            if part.isascii() and part.isdigit() and _ID.fullmatch(part):
                check_range("User id", int(part), 0, ID_MAX)
            elif not _ACCOUNT.fullmatch(part):
                raise InvalidArgs(f"User {shown(str(self))} is not USER or USER:GROUP, each a name or a decimal id")

    @classmethod
    def parse(cls, text: str) -> User:
        """Ids without sign, space or leading zero (CVE-2024-40635)."""
        user, colon, group = text.partition(":")
        if colon and not group:
            raise InvalidArgs(f"User {shown(text)} ends with a colon: give USER or USER:GROUP")
        return cls(user, group)

    @property
    def ids(self) -> tuple[int, ...]:
        """Those that were given by number."""
        return tuple(int(part) for part in (self.user, self.group) if part.isdigit())

    def __str__(self) -> str:
        return f"{self.user}:{self.group}" if self.group else self.user


class Rootfs(HostPath):
    """A directory of the host that serves, read-only, as the lower layer."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Spec:
    """Everything that is asked for before the first start."""

    name: str
    rootfs: Rootfs | ImageRoot
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
    security: Security = field(default_factory=Security)
    read_only: bool = False
    binds: tuple[Bind, ...] = ()
    tmpfs: tuple[Tmpfs, ...] = ()
    shm_size: int = TMPFS_BYTES
    init: bool = False
    terminal: bool = False
    hosts: tuple[tuple[str, str], ...] = ()  # name, address
    name_servers: tuple[str, ...] = ()
    search_domains: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()
    restart: RestartPolicy = field(default_factory=RestartPolicy)
    health: HealthCheck = field(default_factory=HealthCheck)
    volumes: tuple[VolumeMount, ...] = ()
    sd_notify: str = BY_EXECUTION
    credentials: tuple[str, ...] = ()  # names
    machine: bool = False  # its command is an operating system's PID 1
    activation: Activation = field(default_factory=Activation)

    def __post_init__(self) -> None:
        check_name(self.name)
        self._check_command()
        self._check_environment()
        check_labels(self.labels)
        check_printable("WorkingDirectory", self.working_directory, 4095)
        if not self.working_directory.startswith("/"):
            raise InvalidArgs(f"WorkingDirectory {shown(self.working_directory)} is not an absolute path")
        if self.hostname and not _HOSTNAME.fullmatch(self.hostname):
            raise InvalidArgs(f"Hostname {shown(self.hostname)} is not valid: use up to 64 letters, digits, - and .")
        check_range("StopSignal", self.stop_signal, 1, 64)
        check_range("TimeoutStopUSec", self.timeout_stop_usec, 0, INFINITY)
        check_targets(self.binds, self.tmpfs, tuple(mount.target for mount in self.volumes))
        check_devices(self.devices)
        check_range("ShmSize", self.shm_size, TMPFS_SIZE_LEAST, TMPFS_SIZE_MAX)
        self._check_user()
        self._check_hosts()
        self._check_restart()
        self._check_sysctls()
        if self.networking.container and not self.security.has_user_namespace:
            raise InvalidArgs(  # user_namespaces(7): who is the owner's user has all capabilities in its namespaces
                "UserNamespace host and NetworkContainer exclude each other: it would have all rights in that network"
            )
        self._check_sd_notify()
        if self.machine and self.init:
            raise InvalidArgs("Machine and Init exclude each other: an operating system's init is the first process")
        check_names(self.credentials)
        self._check_activation()

    def _check_sysctls(self) -> None:
        if not self.networking.own and any(n.replace("/", ".").startswith("net.") for n, _ in self.security.sysctls):
            whose, key = ("the host's", "HostNetwork") if self.networking.host else ("another's", "NetworkContainer")
            raise InvalidArgs(f"Sysctls below net. would be {whose}: they do not go with {key}")

    def _check_activation(self) -> None:
        if not self.activation:
            return
        if not self.networking.networks:
            raise InvalidArgs(f"ActivatedPorts {self.activation.ports[0]} needs a network: it is connected to none")
        if self.auto_remove:
            raise InvalidArgs("AutoRemove and ActivatedPorts exclude each other: what is removed cannot be started")
        check_ports((*self.networking.ports, *self.activation.ports))

    def _check_sd_notify(self) -> None:
        if self.sd_notify not in SD_NOTIFY:
            raise InvalidArgs(f"SdNotify {shown(self.sd_notify)} is not known: give one of {', '.join(SD_NOTIFY)}")
        if self.sd_notify == BY_HEALTH and not self.health:
            raise InvalidArgs(f"SdNotify {BY_HEALTH} needs a health check: give HealthCommand")

    def _check_restart(self) -> None:
        if self.auto_remove and self.restart.policy != NO:
            policy = f"RestartPolicy {self.restart}"
            raise InvalidArgs(f"AutoRemove and {policy} exclude each other: what is removed cannot be started again")
        if self.auto_remove and self.health.on_failure == "restart":
            raise InvalidArgs("AutoRemove and HealthOnFailure restart exclude each other: give kill or stop")

    def _check_user(self) -> None:
        for number in self.user.ids:
            if self.security.has_user_namespace and number >= ID_RANGE:
                raise InvalidArgs(f"User id {number} is beyond what a container has: 0 to {ID_RANGE - 1}")

    def _check_hosts(self) -> None:
        if len(self.hosts) > HOSTS_MAX or len(self.name_servers) > NAME_SERVERS_MAX:
            raise InvalidArgs(f"the most is {HOSTS_MAX} entries of Hosts and {NAME_SERVERS_MAX} of NameServers")
        for name, address in self.hosts:
            if not _HOST_ENTRY.fullmatch(name):
                raise InvalidArgs(f"Hosts name {shown(name)} is not a host name")
            if address != HOST_GATEWAY:
                check_address("Hosts address", address)
        for address in self.name_servers:
            check_address("NameServers", address)
        if len(self.search_domains) > SEARCH_DOMAINS_MAX:
            raise InvalidArgs(f"the most is {SEARCH_DOMAINS_MAX} of SearchDomains")
        for domain in self.search_domains:
            if domain != "." and not _HOST_ENTRY.fullmatch(domain):
                raise InvalidArgs(f"SearchDomains {shown(domain)} is not a domain")

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


def length_of(label: tuple[str, str]) -> int:
    return sum(len(os.fsencode(part)) for part in label)


def check_new_labels(labels: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Of what is to be made: what an older version has stored goes on being read."""
    length = sum(map(length_of, labels))
    if length > LABELS_BYTES:
        raise InvalidArgs(f"Labels have {length} bytes in all: the most is {LABELS_BYTES}")
    return check_labels(labels)


def check_labels(labels: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    if len(labels) > LABELS_MAX:
        raise InvalidArgs(f"Labels has {len(labels)} entries: the most is {LABELS_MAX}")
    for key, value in labels:
        check_printable("Labels key", key, 128)
        check_printable("Labels value", value, LABEL_MAX)
    return labels
