# SPDX-License-Identifier: GPL-3.0-or-later
"""From a configuration to the steps of the stage. Pure: reads nothing of the host, and can be printed and compared."""

from __future__ import annotations

from ..bounds import shown
from . import devices, mounts
from .value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .configuration import Configuration
    from .hooks import Hook
    from .mounts import Mount
    from .process import Process

    Step = dict[str, Any]

LINKS = (
    ("/dev/fd", "/proc/self/fd"), ("/dev/stdin", "/proc/self/fd/0"), ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"), ("/dev/ptmx", "pts/ptmx"),
)  # fmt: skip
LOADER = ["SYS_ADMIN"]  # seccomp(2) without no_new_privs


@value(frozen=True)
class Surroundings:
    """What the caller's options and the host say besides the configuration."""

    last_capability: int
    state: dict[str, Any]  # of hooks
    preserved: int = 0
    keyring: bool = True
    pivot: bool = True
    cgroup: str = ""  # its directory
    notified: str = ""  # what goes to the seccomp agent, if there is one
    filter_flags: int = 0  # with which the filter is loaded


def step(operation: str, does: str, **arguments: Any) -> Step:
    return {"operation": operation, "does": does, "arguments": arguments}


def bind_name(number: int) -> str:
    """By which the stage knows the descriptor of Configuration.mounts[number]."""
    return f"mount-{number}"


def for_creation(asked: Configuration, around: Surroundings) -> list[Step]:
    steps = [*_identity(asked, around), step("bundle-root", f"attach the root {asked.root}", path=asked.root)]
    late = [mount for mount in asked.mounts if mount.kind in mounts.CGROUP]
    steps += [
        _mount(number, mount, asked.mount_label) for number, mount in enumerate(asked.mounts) if mount not in late
    ]
    steps += [*_devices(asked), *_restrictions(asked)]
    steps += [step("report", "report the mounts", event="mounted"), step("proceed", "wait for the cgroup")]
    own = "" if "cgroup" in asked.namespaces.new else around.cgroup
    if "cgroup" in asked.namespaces.new:
        steps.append(step("cgroup-namespace", "enter a cgroup namespace"))
    steps += [
        step("cgroup", f"mount the cgroups on {mount.target}", target=mount.target, added=mount.options.added, own=own)
        for mount in late
    ]
    steps += _hooks(asked, "createContainer", {**around.state, "status": "creating"})
    steps += _root(asked, around)
    if asked.process:
        steps += _scheduling(asked.process, asked.personality)
        steps += _payload(asked.process, asked.seccomp, around)
    steps.append(step("wait", "wait for the start"))  # without a command it never comes: one can only look and delete
    if asked.process:
        steps += _hooks(asked, "startContainer", {**around.state, "status": "created"})
        steps += _execution(asked.process, asked.seccomp, around)
    return steps


def for_exec(
    asked: Configuration, process: Process, entered: int, around: Surroundings, *, user_namespace: bool
) -> list[Step]:
    """One more process of a container that runs. entered: CLONE_NEW* of the namespaces that differ from ours."""
    return [
        step("open-labels", "open the labels", apparmor=process.apparmor, selinux=process.selinux),
        *((step("join", "enter the container's namespaces", namespaces=entered),) if entered else ()),
        _rights(user_namespace=user_namespace),
        *((step("keyring", "join a session keyring"),) if around.keyring else ()),
        *((_terminal(process, console=False),) if process.terminal else ()),
        *_scheduling(process, asked.personality),
        *_payload(process, asked.seccomp, around),
        *_execution(process, asked.seccomp, around),
    ]


def _rights(*, user_namespace: bool) -> Step:
    if user_namespace:
        return step("become-root", "become root of the user namespace")
    return step("out-of-reach", "get out of reach of others")


def _identity(asked: Configuration, around: Surroundings) -> list[Step]:
    process = asked.process
    steps = [_rights(user_namespace=asked.has_user_namespace())]
    if process:
        steps.append(step("open-labels", "open the labels", apparmor=process.apparmor, selinux=process.selinux))
    if around.keyring:
        steps.append(step("keyring", "join a session keyring"))
    if asked.hostname:
        steps.append(step("hostname", "set the host name", name=asked.hostname))
    if asked.domainname:
        steps.append(step("domainname", "set the domain name", name=asked.domainname))
    if "network" in asked.namespaces.new:
        steps.append(step("loopback", "raise the loopback interface"))
    return steps


def _mount(number: int, mount: Mount, label: str) -> Step:
    if mount.kind == "bind":
        return step("show", f"mount {mount.source} on {mount.target}", name=bind_name(number), target=mount.target)
    data = [list(pair) for pair in mount.options.data]
    if label and mount.kind not in mounts.UNLABELLED:
        data.append(["context", label])
    return step(
        "mount", f"mount {mount.kind} on {mount.target}",
        kind=mount.kind, source=mount.source, target=mount.target, data=data,
        added=mount.options.added | mount.options.each_added, propagation=mount.options.propagation,
        copy_up=mount.options.copy_up,
    )  # fmt: skip


def _terminal(process: Process, *, console: bool) -> Step:
    rows, columns = process.window
    return step("terminal", "open a terminal", rows=rows, columns=columns, console=console)


def _devices(asked: Configuration) -> list[Step]:
    """A /dev of the host's own is left as it is."""
    terminal = bool(asked.process and asked.process.terminal)
    opened = [_terminal(asked.process, console=True)] if asked.process and terminal else []
    if any(mount.target == "/dev" and mount.kind == "bind" for mount in asked.mounts):
        return opened
    listed = {device.path for device in asked.devices}
    steps = [
        step(
            "node", f"make {device.path}", path=device.path, kind=device.kind, numbers=(device.major, device.minor),
            mode=device.mode, owner=(device.uid, device.gid),
        )
        for device in (*asked.devices, *(device for device in devices.DEFAULTS if device.path not in listed))
    ]  # fmt: skip
    steps += [step("link", f"make {target}", target=target, points_to=points_to) for target, points_to in LINKS]
    steps += opened
    if terminal:
        steps.append(step("console", "show the terminal on /dev/console"))
    return steps


def _restrictions(asked: Configuration) -> list[Step]:
    steps = [step("parameter", f"set {path}", path=path, value=text) for path, text in asked.sysctls]
    if asked.read_only_paths:
        steps.append(step("paths-read-only", "make paths read-only", paths=list(asked.read_only_paths)))
    if asked.masked:
        steps.append(step("masked-paths", "hide paths", paths=list(asked.masked)))
    return steps


def _hooks(asked: Configuration, kind: str, state: dict[str, Any]) -> list[Step]:
    found: tuple[Hook, ...] = asked.hooks[kind]
    if not found:
        return []
    entries = [hook.plain() for hook in found]
    return [step("hooks", f"run the {kind} hooks", kind=kind, entries=entries, state=state)]


def _root(asked: Configuration, around: Surroundings) -> list[Step]:
    steps = [step("root-read-only", "make the root read-only")] if asked.read_only else []
    if around.pivot:
        steps.append(step("pivot", "make the container's root the root"))
    else:
        steps.append(step("chroot", "make the container's root the root, without pivot_root"))
    if asked.propagation:
        steps.append(step("root-propagation", "set the propagation of the root", propagation=asked.propagation))
    return steps


def _scheduling(process: Process, personality: int | None) -> list[Step]:
    if not process.scheduler and not process.io_priority and personality is None:
        return []
    plain = dict(process.scheduler.__dict__) if process.scheduler else None
    return [
        step("scheduling", "set scheduling", scheduler=plain, io_priority=process.io_priority, personality=personality)
    ]


def _payload(process: Process, seccomp: str, around: Surroundings) -> list[Step]:
    """From root in the container's root directory to all but the last steps."""
    given = process.capabilities
    loader = LOADER if seccomp and not process.no_new_privileges else []
    path = dict(process.environment).get("PATH", "")
    steps = [step("inherited", "reset what is inherited", umask=process.umask, preserved=around.preserved)]
    if process.terminal:
        steps.append(step("session-terminal", "connect the terminal", uid=process.uid))
    steps += [
        step("directory", f"enter the working directory {process.working_directory}", path=process.working_directory),
        step("bounding-set", "drop capabilities", keep=list(given.bounding), last=around.last_capability),
        step(
            "become-user", f"become user {process.uid}:{process.gid}",
            uid=process.uid, gid=process.gid, groups=list(process.additional_gids),
        ),
        step(
            "capability-sets", "set capabilities", effective=list(given.effective), permitted=list(given.permitted),
            inheritable=list(given.inheritable), ambient=list(given.ambient), loader=loader,
        ),
    ]  # fmt: skip
    if process.no_new_privileges:
        steps.append(step("no-new-privileges", "forbid new privileges"))
    steps.append(step("command", f"execute {process.args[0]!r}", name=process.args[0], path=path))
    return steps


def _execution(process: Process, seccomp: str, around: Surroundings) -> list[Step]:
    steps = []
    if process.rlimits:
        steps.append(step("limits", "set resource limits", limits=[list(entry) for entry in process.rlimits]))
    if process.apparmor or process.selinux:
        label = shown(process.apparmor or process.selinux)
        steps.append(step("labels", f"take the label {label}", apparmor=process.apparmor, selinux=process.selinux))
    if seccomp and around.notified:
        flags = around.filter_flags
        steps.append(step("asking-seccomp", "load the system call filter", message=around.notified, flags=flags))
    elif seccomp and around.filter_flags:
        steps.append(step("flagged-seccomp", "load the system call filter", flags=around.filter_flags))
    elif seccomp:
        steps.append(step("seccomp", "load the system call filter"))
    command, environment = list(process.args), dict(process.environment)
    steps.append(step("execute", f"execute {process.args[0]!r}", command=command, environment=environment))
    return steps
