# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of run and create about files: what of the host is shown, what is held in memory, whose names are known."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .failures import UsageError
from .parser import Option
from .sizes import size

if TYPE_CHECKING:
    from .parser import Arguments

BINDS_MAX = 12  # a message of dbus-daemon's default configuration carries 16 descriptors

SWITCHES = {"": True, "true": True, "1": True, "false": False, "0": False}

SELINUX = "/sys/fs/selinux/enforce"
OWN_KEYS = {  # of a type of --mount
    "bind": "bind-nonrecursive", "volume": "volume-nocopy, volume-subpath", "tmpfs": "tmpfs-size, tmpfs-mode",
}  # fmt: skip
MEANINGLESS = ("", "z", "Z", "cached", "delegated", "consistent")  # the last three are for docker's virtual machines

Mount = tuple[str, str, str, str]  # kind, path on the host, path inside, options


def volume(flag: str, text: str) -> Mount:
    """HOST:INSIDE[:ro], NAME:INSIDE[:ro] or INSIDE alone, as docker's -v. What has no slash is the name of a volume."""
    source, colon, rest = text.partition(":")
    if not colon and text.startswith("/"):
        return "volume", "", text, ""
    target, _, options = rest.partition(":")
    if not (source and colon and target.startswith("/")):
        raise UsageError(f"{flag} {text!r} is not HOST-PATH:PATH[:ro], VOLUME:PATH[:ro] or PATH, absolute inside")
    kind = "bind" if "/" in source or source in (".", "..") else "volume"
    return kind, source, target, ",".join(each for each in options.split(",") if kept(flag, text, each))


def kept(flag: str, text: str, option: str) -> bool:
    """What docker and podman take and what is so, or nothing, here, is left out. z and Z are labels of SELinux's."""
    if option in ("z", "Z") and os.path.exists(SELINUX):
        raise UsageError(f"{flag} {text!r}: {option} is not offered: `chcon -Rt container_file_t PATH` labels it")
    if option == "U":
        raise UsageError(f"{flag} {text!r}: U is not offered: what belongs to you shows as root's inside, as it is")
    return option not in MEANINGLESS


def mount(flag: str, text: str) -> Mount:
    """bind: source=PATH; volume: source=NAME, volume-nocopy, volume-subpath or subpath; tmpfs: tmpfs-size, tmpfs-mode;
    all: target, readonly.
    """
    fields = dict(word.partition("=")[::2] for word in text.split(","))
    kind = fields.pop("type", "bind")
    source = fields.pop("source", None) or fields.pop("src", "")
    target = fields.pop("target", None) or fields.pop("destination", None) or fields.pop("dst", "")
    options = ["ro"] if [key for key in ("readonly", "ro") if switch(flag, text, fields, key)] else []
    if kind == "tmpfs":
        renamed = {"tmpfs-size": "size", "tmpfs-mode": "mode"}
        options += [f"{renamed[key]}={fields.pop(key)}" for key in renamed if key in fields]
    elif kind == "volume":
        options += ["nocopy"] if switch(flag, text, fields, "volume-nocopy") else []
        options += [f"subpath={fields.pop(key)}" for key in ("volume-subpath", "subpath") if key in fields]
    elif kind == "bind" and switch(flag, text, fields, "bind-nonrecursive"):
        options.append("bind")
    if fields and kind in OWN_KEYS:
        known = f"source, target, readonly, {OWN_KEYS[kind]}".removeprefix("source, " if kind == "tmpfs" else "")
        raise UsageError(f"{flag} {text!r}: {sorted(fields)[0]!r} is not known: type={kind} has {known}")
    sourced = {"bind": bool(source), "tmpfs": not source, "volume": "/" not in source}
    if not sourced.get(kind) or not target:
        raise UsageError(
            f"{flag} {text!r} is not type=bind,source=PATH,target=PATH nor type=volume,source=NAME,target=PATH "
            "nor type=tmpfs,target=PATH"
        )
    return kind, source, target, ",".join(options)


def switch(flag: str, text: str, fields: dict[str, str], key: str) -> bool:
    """KEY, or KEY=true; neither, or KEY=false."""
    given = fields.pop(key, "false")
    if given not in SWITCHES:
        raise UsageError(f"{flag} {text!r}: {key} is {given!r}, but it must be true or false")
    return SWITCHES[given]


def temporary(flag: str, text: str) -> Mount:
    target, _, options = text.partition(":")
    if not target.startswith("/"):
        raise UsageError(f"{flag} {text!r} is not PATH[:OPTIONS], as in /run:size=64m")
    return "tmpfs", "", target, options


def host_entry(flag: str, text: str) -> tuple[str, str]:
    """NAME:ADDRESS; an IPv6 address may stand in brackets."""
    name, colon, address = text.partition(":")
    if not (name and colon and address):
        raise UsageError(f"{flag} {text!r} is not NAME:ADDRESS")
    return name, address.removeprefix("[").removesuffix("]")


OPTIONS = (
    Option(("-v", "--volume"), "show a volume, or a path of the host", value="V|P:P[:ro]", convert=volume, repeat=True),
    Option(("--mount",), "the same in full", value="K=V,...", convert=mount, repeat=True),
    Option(("--tmpfs",), "a directory in memory", value="PATH[:OPT]", convert=temporary, repeat=True),
    Option(("--read-only",), "a root file system that cannot be written to"),
    Option(("--shm-size",), "how much /dev/shm holds, 64m if not given", value="SIZE", convert=size),
    Option(("--add-host",), "an entry for /etc/hosts", value="NAME:IP", convert=host_entry, repeat=True),
    Option(("--dns",), "a name server in place of the host's", value="IP", repeat=True),
    Option(("--dns-search",), "a domain to look up names in; . for none", value="DOMAIN", repeat=True),
)


def mount_options(arguments: Arguments) -> dict[str, tuple[str, Any]]:
    """Keys of CreateContainer. Sources are opened here, with the caller's own rights."""
    mounts: list[Mount] = [*arguments.get("volume", []), *arguments.get("mount", []), *arguments.get("tmpfs", [])]
    binds = [mount for mount in mounts if mount[0] == "bind"]
    if len(binds) > BINDS_MAX:
        raise UsageError(f"{len(binds)} paths of the host are too many: the most is {BINDS_MAX}")
    found: dict[str, tuple[str, Any]] = {}
    if binds:
        opened = [(open_source(source), target, options) for _, source, target, options in binds]
        found["Mounts"] = ("a(hss)", opened)
    volumes = [(source, target, options) for kind, source, target, options in mounts if kind == "volume"]
    if volumes:
        found["Volumes"] = ("a(sss)", volumes)
    temporaries = [(target, options) for kind, _, target, options in mounts if kind == "tmpfs"]
    if len(dict(temporaries)) < len(temporaries):
        raise UsageError(f"two of --tmpfs are at one place: {' '.join(target for target, _ in temporaries)}")
    if temporaries:
        found["Tmpfs"] = ("a{ss}", dict(temporaries))
    if "add_host" in arguments.options:
        found["Hosts"] = ("a{ss}", dict(arguments.options["add_host"]))
    plain = {"read_only": ("ReadOnly", "b"), "shm_size": ("ShmSize", "t"), "dns": ("NameServers", "as")}
    plain["dns_search"] = ("SearchDomains", "as")
    found |= {bus: (kind, arguments.options[key]) for key, (bus, kind) in plain.items() if key in arguments.options}
    return found


def open_source(path: str) -> int:
    try:
        return os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"cannot show {path!r} in the container: {reason}") from None
