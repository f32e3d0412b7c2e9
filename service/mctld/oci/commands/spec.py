# SPDX-License-Identifier: GPL-3.0-or-later
"""spec: a config.json to begin with, in the bundle's directory."""

from __future__ import annotations

import json
import os

from ...errors import InvalidArgs, SetupFailed
from .. import arguments, specification

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..call import Call

OPTIONS = {"bundle": arguments.TEXT, "rootless": arguments.FLAG}
KEPT = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
MASKED = ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
          "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"]  # fmt: skip
READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


def run(call: Call) -> int:
    if call.options.rest:
        raise InvalidArgs("spec takes no arguments; --bundle names the directory")
    path = f"{call.options.text('bundle', '.')}/config.json"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise SetupFailed(f"write {path}", error.strerror) from error
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(document(rootless=call.options.flag("rootless")), file, indent="\t")
        file.write("\n")
    return 0


def _mount(target: str, kind: str, *options: str) -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": kind, "options": list(options)}


def document(*, rootless: bool) -> dict[str, Any]:
    spaces = ["pid", "ipc", "uts", "mount", "cgroup", *(["user"] if rootless else ["network"])]
    mounts = [
        _mount("/proc", "proc"),
        _mount("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount("/dev/pts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620",
               *([] if rootless else ["gid=5"])),
        _mount("/dev/shm", "tmpfs", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
        _mount("/dev/mqueue", "mqueue", "nosuid", "noexec", "nodev"),
        {**_mount("/sys", "none", "rbind", "nosuid", "noexec", "nodev", "ro"), "source": "/sys"} if rootless
        else _mount("/sys", "sysfs", "nosuid", "noexec", "nodev", "ro"),
        *([] if rootless else [_mount("/sys/fs/cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro")]),
    ]  # fmt: skip
    return {
        "ociVersion": specification.VERSION,
        "process": {
            "terminal": True,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), KEPT),
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "mctl-oci",
        "mounts": mounts,
        "linux": {
            "resources": {} if rootless else {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": kind} for kind in spaces],
            "maskedPaths": MASKED,
            "readonlyPaths": READ_ONLY,
            **(_own_ids() if rootless else {}),
        },
    }


def _own_ids() -> dict[str, Any]:
    return {
        key: [{"containerID": 0, "hostID": own, "size": 1}]
        for key, own in (("uidMappings", os.geteuid()), ("gidMappings", os.getegid()))
    }
