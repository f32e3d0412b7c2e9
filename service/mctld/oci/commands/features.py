# SPDX-License-Identifier: GPL-3.0-or-later
"""features: what this runtime can do, for engines that ask first (features.md of the specification)."""

from __future__ import annotations

import json

from ... import capability
from .. import hooks, namespaces, options, specification, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..call import Call

OPTIONS: dict[str, str] = {}
ACTIONS = ("ALLOW", "ERRNO", "KILL", "KILL_PROCESS", "KILL_THREAD", "LOG", "NOTIFY", "TRACE", "TRAP")
OPERATORS = ("EQ", "GE", "GT", "LE", "LT", "MASKED_EQ", "NE")
WORDS = ("bind", "rbind", "remount", "tmpcopyup")


def run(_: Call) -> int:
    print(json.dumps(document(), indent=4))
    return 0


def document() -> dict[str, Any]:
    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": specification.VERSION,
        "hooks": list(hooks.KINDS),
        "mountOptions": _mount_options(),
        "linux": {
            "namespaces": sorted(namespaces.FLAGS),
            "capabilities": [f"CAP_{name}" for name in capability.NAMES],
            "cgroup": {"v1": False, "v2": True, "systemd": True, "systemdUser": True, "rdma": True},
            "seccomp": {
                "enabled": True,
                "actions": [f"SCMP_ACT_{name}" for name in ACTIONS],
                "operators": [f"SCMP_CMP_{name}" for name in OPERATORS],
                "archs": _architectures(),
                "knownFlags": list(syscalls.FLAGS),
                "supportedFlags": list(syscalls.FLAGS),
            },
            "apparmor": {"enabled": True},  # by us, whatever the host has: features-linux.md
            "selinux": {"enabled": True},
            "intelRdt": {"enabled": False},
            "mountExtensions": {"idmap": {"enabled": True}},
            "netDevices": {"enabled": False},
        },
        "annotations": {},
        "potentiallyUnsafeConfigAnnotations": ["org.systemd.property."],
    }


def _mount_options() -> list[str]:
    words = [*WORDS, *options.NOTHING, *options.SUPERBLOCK, *options.ID_MAPPED]
    for name in (*options.FLAGS, *options.PROPAGATIONS):
        words += [name, f"r{name}"]
    return sorted(words)


def _architectures() -> list[str]:
    from ...kernel.constants import MACHINE
    from ...runtime.seccomp.profile import runs

    return [f"SCMP_ARCH_{name}" for name in runs(MACHINE)]
