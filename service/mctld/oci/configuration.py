# SPDX-License-Identifier: GPL-3.0-or-later
"""A bundle's config.json as one frozen value: config.md and config-linux.md of the runtime specification 1.2."""

from __future__ import annotations

from ..errors import InvalidArgs
from ..kernel import constants as c
from . import devices, hooks, identifiers, listener, mounts, namespaces, options, process, resources, syscalls
from .specification import VERSION
from .value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .devices import Device
    from .hooks import Hook
    from .identifiers import Maps
    from .listener import Listener
    from .mounts import Mount
    from .namespaces import Namespaces
    from .process import Process
    from .reading import Value
    from .resources import Resources

_SYSCTL_MARKS = dict.fromkeys(map(ord, "_./-"))
_VERSION_MARKS = dict.fromkeys(map(ord, "-+."))
_IPC_SYSCTLS = {f"kernel/{name}" for name in (
    "msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced",
)}  # fmt: skip
_UTS_SYSCTLS = {"kernel/domainname", "kernel/hostname"}
_CLOCKS = ("monotonic", "boottime")


@value(frozen=True)
class Configuration:
    root: str
    read_only: bool
    hostname: str
    domainname: str
    process: Process | None
    mounts: tuple[Mount, ...]
    namespaces: Namespaces
    maps: Maps | None
    time_offsets: str  # as /proc/PID/timens_offsets takes them
    devices: tuple[Device, ...]
    resources: Resources
    cgroups_path: str
    sysctls: tuple[tuple[str, str], ...]
    masked: tuple[str, ...]
    read_only_paths: tuple[str, ...]
    propagation: int
    mount_label: str  # SELinux's, of the file systems that are mounted
    seccomp: str  # the document, or nothing
    filter_flags: int  # of seccomp(2)
    listener: Listener | None
    personality: int | None
    hooks: dict[str, tuple[Hook, ...]]
    annotations: dict[str, str]

    def has_user_namespace(self) -> bool:
        return self.namespaces.has("user")


def read(whole: Value, bundle: str) -> Configuration:
    _check_version(whole["ociVersion"])
    linux = whole["linux"]
    root = whole["root"]["path"].text()
    if not root:
        raise whole["root"]["path"].error("it must be a path")
    spaces = namespaces.read(linux["namespaces"])
    _refuse(linux)
    found = Configuration(
        root=root if root[0] == "/" else f"{bundle}/{root}",
        read_only=whole["root"]["readonly"].boolean(),
        hostname=_of_uts(whole["hostname"], spaces),
        domainname=_of_uts(whole["domainname"], spaces),
        process=process.read(whole["process"]) if whole["process"].given else None,
        mounts=tuple(mounts.read(item, bundle) for item in whole["mounts"].items()),
        namespaces=spaces,
        maps=_maps(linux, spaces),
        time_offsets=_time_offsets(linux["timeOffsets"], spaces),
        devices=devices.read(linux["devices"]),
        resources=resources.read(linux["resources"]),
        cgroups_path=linux["cgroupsPath"].text(""),
        sysctls=_sysctls(linux["sysctl"], spaces),
        masked=tuple(item.absolute() for item in linux["maskedPaths"].items()),
        read_only_paths=tuple(item.absolute() for item in linux["readonlyPaths"].items()),
        propagation=options.propagation(linux["rootfsPropagation"]),
        mount_label=linux["mountLabel"].text(""),
        seccomp=linux["seccomp"].dump() if linux["seccomp"].given else "",
        filter_flags=syscalls.flags(linux["seccomp"]),
        listener=listener.read(linux["seccomp"]),
        personality=_personality(linux["personality"]),
        hooks=hooks.read(whole["hooks"]),
        annotations=_annotations(whole["annotations"]),
    )
    _check_id_mapped(found, whole)
    return found


def _check_version(given: Value) -> None:
    text = given.text()
    numbers = text.partition("+")[0].partition("-")[0].split(".")
    letters = text.translate(_VERSION_MARKS)
    if not (text.isascii() and letters.isalnum() and len(numbers) == 3 and all(map(str.isdecimal, numbers))):
        raise given.error("it must be a version such as 1.2.0")
    if numbers[0] != "1":
        raise given.error(f"mctl-oci knows versions 1.x of the specification, up to {VERSION}")


def _refuse(linux: Value) -> None:
    linux["intelRdt"].refuse("resctrl groups are not made here")
    linux["netDevices"].refuse("move network devices by a createRuntime hook")
    linux["memoryPolicy"].refuse("use resources.cpu.mems for memory nodes")


def _of_uts(given: Value, spaces: Namespaces) -> str:
    name = given.text("")
    if name and not spaces.has("uts"):
        raise given.error("linux.namespaces must have the type uts for it: it would change the host's")
    if len(name.encode()) > 64:
        raise given.error("the kernel takes 64 bytes")
    return name


def _maps(linux: Value, spaces: Namespaces) -> Maps | None:
    uids, gids = linux["uidMappings"], linux["gidMappings"]
    if "user" in spaces.new:
        return identifiers.read_maps(uids, gids)
    for given in (uids, gids):
        if given.items() and not spaces.has("user"):
            raise given.error("linux.namespaces must have the type user for it")
    return None


def _time_offsets(given: Value, spaces: Namespaces) -> str:
    lines = []
    for clock, offset in given.members().items():
        if clock not in _CLOCKS:
            raise offset.error(f"clocks that have offsets are {' and '.join(_CLOCKS)}")
        if "time" not in spaces.new:
            raise given.error("linux.namespaces must have a new one of type time for it")
        seconds, rest = offset["secs"].number(-(2**63), 2**63 - 1, 0), offset["nanosecs"].number(0, 999_999_999, 0)
        lines.append(f"{clock} {seconds} {rest}")
    return "\n".join(lines)


def _sysctls(given: Value, spaces: Namespaces) -> tuple[tuple[str, str], ...]:
    return tuple((_sysctl(name, item, spaces), item.text()) for name, item in given.members().items())


def _sysctl(name: str, item: Value, spaces: Namespaces) -> str:
    """The path below /proc/sys. Only what belongs to a namespace of the container's: all else is the host's."""
    dotted = "." in name.partition("/")[0]
    path = name.translate(str.maketrans("./", "/.")) if dotted else name
    plain = path.isascii() and len(path) <= 255 and path.translate(_SYSCTL_MARKS).isalnum()
    if not plain or any(part in ("", ".", "..") for part in path.split("/")):
        raise InvalidArgs(f"{item.path} is not the name of a kernel parameter, sysctl.d(5)")
    for kind, belongs in (
        ("network", path.startswith("net/")),
        ("ipc", path in _IPC_SYSCTLS or path.startswith("fs/mqueue/")),
        ("uts", path in _UTS_SYSCTLS),
    ):
        if belongs:
            if not spaces.has(kind):
                raise item.error(f"linux.namespaces must have the type {kind} for it: it would change the host's")
            return path
    raise item.error("it belongs to no namespace, so it would change the host's")


def _personality(given: Value) -> int | None:
    if not given.given:
        return None
    given["flags"].refuse("the specification knows no flags")
    return given["domain"].choice({"LINUX": c.PER_LINUX, "LINUX32": c.PER_LINUX32})


def _annotations(given: Value) -> dict[str, str]:
    found = {key: item.text() for key, item in given.members().items()}
    if "" in found:
        raise InvalidArgs(f"{given.path} has an empty key")
    return found


def _check_id_mapped(found: Configuration, whole: Value) -> None:
    for number, mount in enumerate(found.mounts):
        if mount.options.id_mapped and mount.maps is None and not found.has_user_namespace():
            raise (
                whole["mounts"]
                .items()[number]["options"]
                .error("an id-mapped mount needs mappings of its own, or the container a user namespace")
            )
