# SPDX-License-Identifier: GPL-3.0-or-later
"""The service in which skopeo talks to a registry: systemd.exec(5)'s walls around a program that parses what it gets.

It has a user of its own that owns nothing, no capability, and of /var only the directory of this one transfer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dbus_next.signature import Variant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PLACE = "/var/transfer"  # where it sees its directory
CREDENTIAL = "auth.json"
SIGNATURES = "/var/lib/containers/sigstore"  # containers-registries.d(5): where signatures lie if nothing else is said
MEMORY_MAX = 1 << 30
TASKS_MAX = 512
FILE_MAX = 64 << 30
TIMEOUT_USEC = 6 * 3600 * 1_000_000
_YES = (
    "DynamicUser", "NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectKernelTunables", "ProtectKernelModules",
    "ProtectKernelLogs", "ProtectControlGroups", "ProtectClock", "ProtectHostname", "RestrictSUIDSGID",
    "RestrictRealtime", "LockPersonality", "MemoryDenyWriteExecute",
)  # fmt: skip
_FAMILIES = ["AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"]  # Go asks netlink for interfaces


def unit_name(identity: str) -> str:
    return f"mctl-transfer-{identity}.service"


def credential_path(identity: str) -> str:
    """As the program finds what LoadCredential= has brought."""
    return f"/run/credentials/{unit_name(identity)}/{CREDENTIAL}"


def properties(
    identity: str,
    command: Sequence[str],
    directory: str,
    credential: str,
    said: tuple[str, str],
    terminal: str | None,
    variables: Mapping[str, str],
) -> list[list[Any]]:
    """For StartTransientUnit: the job ends with the command. No text of a caller's but the checked reference.

    said: files of what it prints, unless there is a terminal for that, and of its complaints.
    """
    environment = {"HOME": "/nonexistent", "TMPDIR": PLACE, **variables}
    return [
        ["Description", Variant("s", f"Transfer {identity} of an image")],
        ["Type", Variant("s", "oneshot")],
        ["ExecStart", Variant("a(sasb)", [[command[0], list(command), False]])],
        ["Environment", Variant("as", [f"{name}={value}" for name, value in environment.items()])],
        ["LoadCredential", Variant("a(ss)", [[CREDENTIAL, credential]])],
        *_output(said[0], terminal),
        ["StandardErrorFile", Variant("s", said[1])],
        ["BindsTo", Variant("as", ["mctld.service"])],
        ["After", Variant("as", ["mctld.service"])],
        ["CollectMode", Variant("s", "inactive-or-failed")],
        ["TimeoutStartUSec", Variant("t", TIMEOUT_USEC)],
        *_walls(directory),
    ]


def _output(path: str, terminal: str | None) -> list[list[Any]]:
    """A terminal to write to is none to be controlled by."""
    if terminal is None:
        return [["StandardOutputFile", Variant("s", path)]]
    return [["StandardOutput", Variant("s", "tty")], ["TTYPath", Variant("s", terminal)]]


def _walls(directory: str) -> list[list[Any]]:
    return [
        *([name, Variant("b", True)] for name in _YES),  # noqa: FBT003
        ["ProtectSystem", Variant("s", "strict")],
        ["ProtectHome", Variant("s", "yes")],
        ["ProtectProc", Variant("s", "invisible")],
        ["ProcSubset", Variant("s", "pid")],
        ["TemporaryFileSystem", Variant("a(ss)", [["/var", "ro"]])],
        ["BindPaths", Variant("a(ssbt)", [[directory, PLACE, False, 0]])],
        ["BindReadOnlyPaths", Variant("a(ssbt)", [[SIGNATURES, SIGNATURES, True, 0]])],
        ["CapabilityBoundingSet", Variant("t", 0)],
        ["RestrictNamespaces", Variant("t", 0)],
        ["RestrictAddressFamilies", Variant("(bas)", [True, _FAMILIES])],
        ["SystemCallFilter", Variant("(bas)", [True, ["@system-service"]])],
        ["SystemCallArchitectures", Variant("as", ["native"])],
        ["UMask", Variant("u", 0o022)],
        ["LimitFSIZE", Variant("t", FILE_MAX)],
        ["LimitCORE", Variant("t", 0)],
        ["MemoryMax", Variant("t", MEMORY_MAX)],
        ["TasksMax", Variant("t", TASKS_MAX)],
    ]
