# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a container shall be to the steps that make it so. Pure: reads nothing of the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..kernel import constants as c
from . import capabilities
from .plan import Plan, Step

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


def plan(spec: Spec, *, last_capability: int) -> Plan:
    keep = list(capabilities.DEFAULT)
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
            _step("stdio", "connect standard input and output"),
            _step("fresh-process", "reset what the process inherited"),
            _step("bounding-set", "drop capabilities", keep=keep, last=last_capability),
            _step("user", f"become user {spec.user}", uid=spec.user.uid, gid=spec.user.gid),
            _step("capabilities", "drop capabilities", keep=keep if spec.user.uid == 0 else []),
            _step("no-new-privileges", "forbid new privileges"),
            _step(
                "working-directory",
                f"enter the working directory {spec.working_directory}",
                path=spec.working_directory,
            ),
            _step("execute", f"execute {spec.command[0]!r}", command=list(spec.command), environment=environment(spec)),
        )
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
