# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a container shall be to the steps that make it so. Pure: reads nothing of the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..hidden import MASKED, READ_ONLY
from ..kernel import constants as c
from ..security import EVERYTHING
from .plan import Plan, Step
from .seccomp.profiles import UNCONFINED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..mounts import Bind, Tmpfs
    from ..spec import Spec
    from ..volume import VolumeMount

DEFAULT_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "container": "mctl",  # https://systemd.io/CONTAINER_INTERFACE
}
TERM = {"TERM": "xterm"}  # which every terminal of today understands, and every image knows
INIT = "tini"

DEVICES = {name: name for name in ("full", "null", "random", "tty", "urandom", "zero")}
NO_CONSOLE = {"console": "null"}  # what is written there without a terminal goes nowhere, and does not fail
CONSOLE = "console"  # what the stage calls the mount of a terminal
NO_WINDOW = (0, 0)  # rows and columns that nobody knows
LINKS = {
    "/dev/fd": "/proc/self/fd",
    "/dev/ptmx": "pts/ptmx",
    "/dev/stderr": "/proc/self/fd/2",
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
}
# As docker: ping(8) without CAP_NET_RAW for everybody, and all ports for all users, who have the network to themselves.
SYSCTLS = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 65535"}
ETC_FILES = ("hostname", "hosts", "resolv.conf")

_QUIET = c.MOUNT_ATTR_NOSUID | c.MOUNT_ATTR_NODEV | c.MOUNT_ATTR_NOEXEC
_SHOWN = _QUIET | c.MOUNT_ATTR_RDONLY


def namespaces(spec: Spec) -> int:
    """For clone3(2). The cgroup namespace is entered later, from inside the scope."""
    own = c.CLONE_NEWNS | c.CLONE_NEWPID | c.CLONE_NEWNET | c.CLONE_NEWIPC | c.CLONE_NEWUTS
    return own | (c.CLONE_NEWUSER if spec.security.has_user_namespace else 0)


def plan(spec: Spec, *, last_capability: int, window: tuple[int, int] = NO_WINDOW) -> Plan:
    """window: rows and columns of the terminal, where there is to be one."""
    return Plan(
        (
            *_identity(spec),
            _step("root", "attach the root file system"),
            *_kernel_filesystems(spec),
            *_devices(spec, window),
            *_sysctls(spec),
            *_masks(spec),
            *_etc_files(),
            *_mounts(spec),
            _step("gate", "wait for the cgroup"),
            _step("cgroup-namespace", "enter a cgroup namespace"),
            _filesystem("cgroup2", "/sys/fs/cgroup", _SHOWN),
            *((_step("read-only-root", "make the root file system read-only"),) if spec.read_only else ()),
            _step("pivot", "make the root file system the root"),
            *_payload(spec, last_capability),
            _execution(spec, init=spec.init),
        )
    )


def exec_plan(spec: Spec, *, last_capability: int, window: tuple[int, int] = NO_WINDOW) -> Plan:
    """For one more process of a container that runs: `spec` is the container's, with this process's command.

    What binds the container's first process binds this one, because it is made of the same steps.
    """
    joined = namespaces(spec) & ~c.CLONE_NEWPID | c.CLONE_NEWCGROUP  # that of PIDs is entered by being born in it
    return Plan(
        (
            _step("join", "enter the container's namespaces", namespaces=joined),
            _step("own-credentials", "become root of the user namespace"),
            _step("keyring", "join a session keyring"),
            *((_terminal(window, console=False),) if spec.terminal else ()),
            *_payload(spec, last_capability),
            _execution(spec, init=False),
        )
    )


def _payload(spec: Spec, last_capability: int) -> tuple[Step, ...]:
    """From root of the user namespace, in the container's root directory, to all but the command."""
    user = {"user": spec.user.user, "group": spec.user.group}
    connected = "connect standard input and output"
    return (
        *(() if spec.terminal else (_step("stdio", connected),)),
        _step("fresh-process", "reset what the process inherited"),
        *((_step("controlling-terminal", connected, **user),) if spec.terminal else ()),
        *privileges(spec, last_capability),
    )


def environment(spec: Spec) -> dict[str, str]:
    declared = dict(variable.split("=", 1) for variable in spec.environment)
    return {**DEFAULT_ENVIRONMENT, **(TERM if spec.terminal else {}), **declared}


def volume_name(number: int) -> str:
    """By which the stage knows the descriptor of Spec.volumes[number]."""
    return f"volume-{number}"


def bind_name(number: int) -> str:
    """By which the stage knows the descriptor of Spec.binds[number]."""
    return f"bind-{number}"


def device_name(number: int) -> str:
    """By which the stage knows the descriptor of Spec.devices[number]."""
    return f"device-{number}"


def _step(operation: str, does: str, **arguments: Any) -> Step:
    return Step(operation, does, arguments)


def _filesystem(kind: str, target: str, attributes: int, **options: str | None) -> Step:
    return _step(
        "filesystem", f"mount {kind} on {target}", kind=kind, target=target, options=options, attributes=attributes
    )


def _identity(spec: Spec) -> tuple[Step, ...]:
    return (
        _step("own-credentials", "become root of the user namespace"),
        _step("keyring", "join a session keyring"),
        _step("hostname", "set the host name", name=spec.hostname or spec.name),
        _step("loopback", "raise the loopback interface"),
    )


def _kernel_filesystems(spec: Spec) -> tuple[Step, ...]:
    sysfs = _QUIET if EVERYTHING in spec.security.unmask else _SHOWN
    return (
        _filesystem("proc", "/proc", _QUIET),
        _filesystem("sysfs", "/sys", sysfs),
        _filesystem("tmpfs", "/dev", c.MOUNT_ATTR_NOSUID | c.MOUNT_ATTR_NOEXEC, mode="755", size="64k", nr_inodes="64"),
        _filesystem(
            "devpts", "/dev/pts", c.MOUNT_ATTR_NOSUID | c.MOUNT_ATTR_NOEXEC,
            newinstance=None, ptmxmode="0666", mode="0620", gid="5", max="1024",
        ),
        _filesystem("tmpfs", "/dev/shm", _QUIET, mode="1777", size=str(spec.shm_size), nr_inodes="64k"),
        _filesystem("mqueue", "/dev/mqueue", _QUIET),
    )  # fmt: skip


def _devices(spec: Spec, window: tuple[int, int]) -> tuple[Step, ...]:
    wanted = DEVICES if spec.terminal else DEVICES | NO_CONSOLE
    nodes = tuple(
        _step("device", f"show /dev/{name}", source=f"/dev/{source}", target=f"/dev/{name}")
        for name, source in wanted.items()
    )
    given = tuple(
        _step("device", f"show {device.target}", source=device_name(number), target=device.target)
        for number, device in enumerate(spec.devices)
    )
    links = tuple(
        _step("symlink", f"make {target}", target=target, points_to=points_to) for target, points_to in LINKS.items()
    )
    shown = _step("device", "show the terminal on /dev/console", source=CONSOLE, target="/dev/console")
    terminal = (_terminal(window, console=True), shown) if spec.terminal else ()
    return nodes + terminal + given + links


def _terminal(window: tuple[int, int], *, console: bool) -> Step:
    """For a first process before anything of the image's or the user's is mounted."""
    rows, columns = window
    return _step("terminal", "open a terminal", rows=rows, columns=columns, console=console)


def _sysctls(spec: Spec) -> tuple[Step, ...]:
    asked = {name.replace("/", ".") for name, _ in spec.security.sysctls}
    usual = [(name, value) for name, value in SYSCTLS.items() if name not in asked]
    every = (*usual, *spec.security.sysctls)
    return tuple(_step("sysctl", f"set {name}", name=name, value=value) for name, value in every)


def _masks(spec: Spec) -> tuple[Step, ...]:
    """Read-only first: a mount of itself shows a path without what has been laid over it."""
    unmask = spec.security.unmask
    if EVERYTHING in unmask:
        return ()
    return (
        _step("read-only-paths", "make paths of /proc read-only", paths=_except(READ_ONLY, unmask)),
        _step("masked-paths", "hide paths of /proc and /sys", paths=_except(MASKED, unmask)),
    )


def _except(paths: Iterable[str], shown: tuple[str, ...]) -> list[str]:
    plain = {path.rstrip("/") for path in shown}
    return [path for path in paths if path not in plain]


def _etc_files() -> tuple[Step, ...]:
    """Laid over what the image has, which is never written to; a dangling link gives way in the container's layer."""
    return tuple(
        _step("bind", f"show /etc/{name}", name=name, target=f"/etc/{name}", replace=True) for name in ETC_FILES
    )


def _mounts(spec: Spec) -> tuple[Step, ...]:
    """What lies deeper comes later, so that nothing hides another by accident."""
    steps = [(bind.target, _bind(number, bind)) for number, bind in enumerate(spec.binds)]
    steps += [(volume.target, _volume(number, volume)) for number, volume in enumerate(spec.volumes)]
    steps += [(tmpfs.target, _tmpfs(tmpfs)) for tmpfs in spec.tmpfs]
    return tuple(step for _, step in sorted(steps, key=lambda found: (found[0].strip("/").count("/"), found[0])))


def _bind(number: int, bind: Bind) -> Step:
    return _step("bind", f"show {bind.source.path} on {bind.target}", name=bind_name(number), target=bind.target)


def _volume(number: int, volume: VolumeMount) -> Step:
    shown = f"the volume {volume.name or volume.volume}"
    return _step("bind", f"show {shown} on {volume.target}", name=volume_name(number), target=volume.target)


def _tmpfs(tmpfs: Tmpfs) -> Step:
    attributes = c.MOUNT_ATTR_NOSUID | c.MOUNT_ATTR_NODEV
    attributes |= 0 if tmpfs.executable else c.MOUNT_ATTR_NOEXEC
    attributes |= c.MOUNT_ATTR_RDONLY if tmpfs.read_only else 0
    options = {"size": str(tmpfs.size), "nr_inodes": str(tmpfs.inodes), "mode": f"{tmpfs.mode:04o}"}
    return _step(
        "filesystem", f"mount tmpfs on {tmpfs.target}",
        kind="tmpfs", target=tmpfs.target, options=options, attributes=attributes, follow=True,
    )  # fmt: skip


def privileges(spec: Spec, last_capability: int) -> tuple[Step, ...]:
    """The filter comes last: the steps before it need no permission of a profile.

    Without no_new_privs only CAP_SYS_ADMIN may load one, seccomp(2).
    """
    security, directory = spec.security, spec.working_directory
    keep, ambient = list(security.capabilities), list(security.ambient)
    filtered = security.seccomp != UNCONFINED
    loader = ["SYS_ADMIN"] if filtered and not security.no_new_privileges else []
    user = {"user": spec.user.user, "group": spec.user.group, "keep": bool(loader or ambient)}
    return (
        _step("bounding-set", "drop capabilities", keep=keep, last=last_capability),
        _step("user", f"become user {spec.user}", **user),
        _step("capabilities", "drop capabilities", keep=keep, ambient=ambient, loader=loader),
        *((_step("no-new-privileges", "forbid new privileges"),) if security.no_new_privileges else ()),
        _step("working-directory", f"enter the working directory {directory}", path=directory),
        _step("program", f"find {spec.command[0]!r}", name=spec.command[0], path=environment(spec).get("PATH", "")),
        *((_step("limits", "set resource limits", limits=security.rlimits),) if security.rlimits else ()),
        *((_step("seccomp", "load the system call filter"),) if filtered else ()),
    )


def _execution(spec: Spec, *, init: bool) -> Step:
    through = {"init": INIT} if init else {}
    return _step(
        "execute", f"execute {spec.command[0]!r}", command=list(spec.command), environment=environment(spec), **through
    )
