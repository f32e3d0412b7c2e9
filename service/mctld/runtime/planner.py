# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a container shall be to the steps that make it so. Pure: reads nothing of the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import machine
from ..hidden import MASKED, READ_ONLY
from ..kernel import constants as c
from ..security import EVERYTHING
from ..spec import BY_ITSELF
from . import given as gifts
from .given import NOTHING, Given
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
SYSFS = "sysfs"  # what the stage calls one that it could not make
ETC_FILES = ("hostname", "hosts", "resolv.conf")

_QUIET = c.MOUNT_ATTR_NOSUID | c.MOUNT_ATTR_NODEV | c.MOUNT_ATTR_NOEXEC
_SHOWN = _QUIET | c.MOUNT_ATTR_RDONLY


def namespaces(spec: Spec) -> int:
    """For clone3(2). The cgroup namespace is entered later, from inside the scope; another's network is inherited."""
    own = c.CLONE_NEWNS | c.CLONE_NEWPID | c.CLONE_NEWIPC | c.CLONE_NEWUTS
    own |= c.CLONE_NEWNET if spec.networking.own else 0
    return own | (c.CLONE_NEWUSER if spec.security.has_user_namespace else 0)


def plan(
    spec: Spec, *, last_capability: int, window: tuple[int, int] = NO_WINDOW, given: Given = NOTHING
) -> Plan:
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
            *_gifts(given),
            _step("gate", "wait for the cgroup"),
            _step("cgroup-namespace", "enter a cgroup namespace"),
            _filesystem("cgroup2", "/sys/fs/cgroup", _QUIET if spec.machine else _SHOWN),
            *((_step("read-only-root", "make the root file system read-only"),) if spec.read_only else ()),
            _step("pivot", "make the root file system the root"),
            *_giving(spec, given),
            *_payload(spec, last_capability, sockets=given.sockets),
            _execution(spec, init=spec.init, given=given),
        )
    )


def exec_plan(spec: Spec, *, last_capability: int, window: tuple[int, int] = NO_WINDOW) -> Plan:
    """For one more process of a container that runs: `spec` is the container's, with this process's command.

    What binds the container's first process binds this one, because it is made of the same steps.
    """
    joined = namespaces(spec) & ~c.CLONE_NEWPID | c.CLONE_NEWCGROUP  # that of PIDs is entered by being born in it
    return Plan(
        (
            *_foreign_network(spec),
            _step("join", "enter the container's namespaces", namespaces=joined),
            _step("own-credentials", "become root of the user namespace"),
            _step("keyring", "join a session keyring"),
            *((_terminal(window, console=False),) if spec.terminal else ()),
            *_payload(spec, last_capability),
            _execution(spec, init=False),
        )
    )


def _foreign_network(spec: Spec) -> tuple[Step, ...]:
    """Before the user namespace is entered, which has no rights in it: it is that of another container's, setns(2)."""
    shared = spec.networking.container
    return (_step("join", "enter the network that is shared", namespaces=c.CLONE_NEWNET),) if shared else ()


def _payload(spec: Spec, last_capability: int, *, sockets: int = 0) -> tuple[Step, ...]:
    """From root of the user namespace, in the container's root directory, to all but the command."""
    user = {"user": spec.user.user, "group": spec.user.group}
    connected = "connect standard input and output"
    return (
        *(() if spec.terminal else (_step("stdio", connected),)),
        _step("fresh-process", "reset what the process inherited"),
        *((_step("controlling-terminal", connected, **user),) if spec.terminal else ()),
        *((_step("sockets", "pass the unit's sockets on", names=_socket_names(sockets)),) if sockets else ()),
        *privileges(spec, last_capability),
    )


def environment(spec: Spec) -> dict[str, str]:
    declared = dict(variable.split("=", 1) for variable in spec.environment)
    heard = {"NOTIFY_SOCKET": gifts.NOTIFY_SOCKET} if spec.sd_notify == BY_ITSELF else {}
    return {**DEFAULT_ENVIRONMENT, **(TERM if spec.terminal else {}), **declared, **heard}


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
        *((_step("loopback", "raise the loopback interface"),) if spec.networking.own else ()),
    )


def _kernel_filesystems(spec: Spec) -> tuple[Step, ...]:
    return (
        _filesystem("proc", "/proc", _QUIET),
        _sysfs(spec),
        _filesystem("tmpfs", "/dev", c.MOUNT_ATTR_NOSUID | c.MOUNT_ATTR_NOEXEC, mode="755", size="64k", nr_inodes="64"),
        _filesystem(
            "devpts", "/dev/pts", c.MOUNT_ATTR_NOSUID | c.MOUNT_ATTR_NOEXEC,
            newinstance=None, ptmxmode="0666", mode="0620", gid="5", max="1024",
        ),
        _filesystem("tmpfs", "/dev/shm", _QUIET, mode="1777", size=str(spec.shm_size), nr_inodes="64k"),
        _filesystem("mqueue", "/dev/mqueue", _QUIET),
    )  # fmt: skip


def takes_sysfs(spec: Spec) -> bool:
    """Only who owns the network namespace may make a mount of it that shows its interfaces: sysfs_init_fs_context()."""
    return not spec.networking.own and spec.security.has_user_namespace


def _sysfs(spec: Spec) -> Step:
    if takes_sysfs(spec):
        return _step("bind", "show /sys", name=SYSFS, target="/sys", replace=True)
    return _filesystem("sysfs", "/sys", _QUIET if EVERYTHING in spec.security.unmask else _SHOWN)


def _devices(spec: Spec, window: tuple[int, int]) -> tuple[Step, ...]:
    # an operating system asks whether there is a console, and would go on offering a login on none
    wanted = DEVICES if spec.terminal or spec.machine else DEVICES | NO_CONSOLE
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
    own = SYSCTLS if spec.networking.own else {}
    usual = [(name, value) for name, value in own.items() if name not in asked]
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
    asked = [target for target, _ in steps] + [tmpfs.target for tmpfs in spec.tmpfs]
    own = machine.volatile(asked) if spec.machine else ()
    steps += [(tmpfs.target, _tmpfs(tmpfs)) for tmpfs in (*spec.tmpfs, *own)]
    return tuple(step for _, step in sorted(steps, key=lambda found: (found[0].strip("/").count("/"), found[0])))


def _gifts(given: Given) -> tuple[Step, ...]:
    """In places of ours, over whatever the user has there."""
    wanted = (
        (given.credentials, "credentials", gifts.CREDENTIALS, gifts.CREDENTIALS_DIRECTORY),
        (given.notify, "socket for sd_notify", gifts.NOTIFY, gifts.NOTIFY_SOCKET),
    )
    return tuple(
        _step("bind", f"show the {what}", name=name, target=target, replace=True)
        for there, what, name, target in wanted
        if there
    )


def _giving(spec: Spec, given: Given) -> tuple[Step, ...]:
    """Once the container's own passwd(5) is there."""
    if not given.credentials:
        return ()
    user = {"user": spec.user.user, "group": spec.user.group}
    return (_step("credentials", "give the credentials to the user", name=gifts.CREDENTIALS, **user),)


def _socket_names(count: int) -> list[str]:
    return [gifts.socket_name(number) for number in range(count)]


def _bind(number: int, bind: Bind) -> Step:
    return _step("bind", f"show {bind.source.path} on {bind.target}", name=bind_name(number), target=bind.target)


def _volume(number: int, volume: VolumeMount) -> Step:
    shown = (f"{volume.subpath!r} of " if volume.subpath else "") + f"the volume {volume.name or volume.volume}"
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


def _execution(spec: Spec, *, init: bool, given: Given = NOTHING) -> Step:
    through = {"init": INIT} if init else {}
    variables = {**environment(spec), **given.environment}
    return _step(
        "execute", f"execute {spec.command[0]!r}", command=list(spec.command), environment=variables, **through
    )
