# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a container shall be to the steps that make it so. Pure: reads nothing of the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..kernel import constants as c
from . import capabilities
from .plan import Plan, Step
from .seccomp.profiles import UNCONFINED

if TYPE_CHECKING:
    from ..spec import Spec

NAMESPACES = (
    c.CLONE_NEWUSER | c.CLONE_NEWNS | c.CLONE_NEWPID | c.CLONE_NEWNET | c.CLONE_NEWIPC | c.CLONE_NEWUTS
)  # the cgroup namespace is entered later, from inside the scope

DEFAULT_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/",
    "container": "mctl",  # https://systemd.io/CONTAINER_INTERFACE
}

DEVICES = ("full", "null", "random", "tty", "urandom", "zero")
LINKS = {
    "/dev/fd": "/proc/self/fd",
    "/dev/ptmx": "pts/ptmx",
    "/dev/stderr": "/proc/self/fd/2",
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
}

_QUIET = c.MOUNT_ATTR_NOSUID | c.MOUNT_ATTR_NODEV | c.MOUNT_ATTR_NOEXEC
_SHOWN = _QUIET | c.MOUNT_ATTR_RDONLY


# The PID namespace is entered by being born in it; the cgroup namespace exists now.
JOINED = NAMESPACES & ~c.CLONE_NEWPID | c.CLONE_NEWCGROUP


def plan(spec: Spec, *, last_capability: int) -> Plan:
    return Plan(
        (
            _step("own-credentials", "become root of the user namespace"),
            _step("hostname", "set the host name", name=spec.hostname or spec.name),
            _step("loopback", "raise the loopback interface"),
            _step("root", "attach the root file system"),
            *_kernel_filesystems(),
            *_devices(),
            _step("gate", "wait for the cgroup"),
            _step("cgroup-namespace", "enter a cgroup namespace"),
            _filesystem("cgroup2", "/sys/fs/cgroup", _SHOWN),
            _step("pivot", "make the root file system the root"),
            *_payload(spec, last_capability),
        )
    )


def exec_plan(spec: Spec, *, last_capability: int) -> Plan:
    """For one more process of a container that runs: `spec` is the container's, with this process's command.

    What binds the container's first process binds this one, because it is made of the same steps.
    """
    return Plan(
        (
            _step("join", "enter the container's namespaces", namespaces=JOINED),
            _step("own-credentials", "become root of the user namespace"),
            *_payload(spec, last_capability),
        )
    )


def _payload(spec: Spec, last_capability: int) -> tuple[Step, ...]:
    """From root of the user namespace, in the container's root directory, to the command."""
    return (
        _step("stdio", "connect standard input and output"),
        _step("fresh-process", "reset what the process inherited"),
        *_privileges(spec, last_capability, confinement(spec)),
        _step("execute", f"execute {spec.command[0]!r}", command=list(spec.command), environment=environment(spec)),
    )


@dataclass(frozen=True, slots=True)
class Confinement:
    """What the payload may do. seccomp: "default", "strict", "unconfined", or the text of an OCI profile."""

    capabilities: tuple[str, ...] = capabilities.DEFAULT
    seccomp: str = "default"
    no_new_privileges: bool = True


def confinement(_: Spec) -> Confinement:
    return Confinement()


def _privileges(spec: Spec, last_capability: int, allowed: Confinement) -> tuple[Step, ...]:
    """The filter comes last: the steps before it need no permission of a profile.

    Without no_new_privs only CAP_SYS_ADMIN may load one, seccomp(2). Then it is held until execve(2), which takes it
    away: the bounding set does not have it.
    """
    filtered = allowed.seccomp != UNCONFINED
    loader = ["SYS_ADMIN"] if filtered and not allowed.no_new_privileges else []
    held = list(allowed.capabilities) if spec.user.uid == 0 else []
    directory = spec.working_directory
    return (
        _step("bounding-set", "drop capabilities", keep=list(allowed.capabilities), last=last_capability),
        _step("user", f"become user {spec.user}", uid=spec.user.uid, gid=spec.user.gid, keep=bool(loader)),
        _step("capabilities", "drop capabilities", keep=list(dict.fromkeys(held + loader))),
        *((_step("no-new-privileges", "forbid new privileges"),) if allowed.no_new_privileges else ()),
        _step("working-directory", f"enter the working directory {directory}", path=directory),
        _step("program", f"find {spec.command[0]!r}", name=spec.command[0], path=environment(spec).get("PATH", "")),
        *((_step("seccomp", "load the system call filter"),) if filtered else ()),
    )


def environment(spec: Spec) -> dict[str, str]:
    declared = dict(variable.split("=", 1) for variable in spec.environment)
    return {**DEFAULT_ENVIRONMENT, **declared}


def _step(operation: str, does: str, **arguments: Any) -> Step:
    return Step(operation, does, arguments)


def _filesystem(kind: str, target: str, attributes: int, **options: str | None) -> Step:
    return _step(
        "filesystem", f"mount {kind} on {target}", kind=kind, target=target, options=options, attributes=attributes
    )


def _kernel_filesystems() -> tuple[Step, ...]:
    return (
        _filesystem("proc", "/proc", _QUIET),
        _filesystem("sysfs", "/sys", _SHOWN),
        _filesystem("tmpfs", "/dev", c.MOUNT_ATTR_NOSUID | c.MOUNT_ATTR_NOEXEC, mode="755", size="64k", nr_inodes="64"),
        _filesystem(
            "devpts", "/dev/pts", c.MOUNT_ATTR_NOSUID | c.MOUNT_ATTR_NOEXEC,
            newinstance=None, ptmxmode="0666", mode="0620", gid="5",
        ),
        _filesystem("tmpfs", "/dev/shm", _QUIET, mode="1777", size="64m"),
        _filesystem("mqueue", "/dev/mqueue", _QUIET),
    )  # fmt: skip


def _devices() -> tuple[Step, ...]:
    nodes = tuple(
        _step("device", f"show /dev/{name}", source=f"/dev/{name}", target=f"/dev/{name}") for name in DEVICES
    )
    links = tuple(
        _step("symlink", f"make {target}", target=target, points_to=points_to) for target, points_to in LINKS.items()
    )
    return nodes + links
