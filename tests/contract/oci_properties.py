# SPDX-License-Identifier: GPL-3.0-or-later
"""Every property of config.json that the runtime specification 1.3.0 publishes for POSIX and Linux, and our answer.

The names are those of its schema/config-schema.json and config-linux.json.
"""

from __future__ import annotations

from typing import Any

SETS = ("bounding", "permitted", "effective", "inheritable", "ambient")
HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
THROTTLES = ("throttleReadBpsDevice", "throttleWriteBpsDevice", "throttleReadIOPSDevice", "throttleWriteIOPSDevice")
MAPS = ("mounts[].uidMappings", "mounts[].gidMappings", "linux.uidMappings", "linux.gidMappings")
BLOCK = "linux.resources.blockIO"
PUBLISHED = {
    "": "ociVersion hooks annotations hostname domainname mounts root process linux solaris windows vm zos freebsd",
    "hooks": " ".join(HOOKS),
    **{f"hooks.{kind}[]": "path args env timeout" for kind in HOOKS},
    "mounts[]": "source destination options type uidMappings gidMappings",
    **{f"{name}[]": "containerID hostID size" for name in MAPS},
    "root": "path readonly",
    "process": "args commandLine consoleSize cwd env terminal user capabilities apparmorProfile oomScoreAdj "
    "selinuxLabel ioPriority noNewPrivileges scheduler rlimits execCPUAffinity",
    "process.consoleSize": "height width",
    "process.user": "uid gid umask additionalGids username",
    "process.capabilities": " ".join(SETS),
    "process.ioPriority": "class priority",
    "process.scheduler": "policy nice priority flags runtime deadline period",
    "process.rlimits[]": "hard soft type",
    "process.execCPUAffinity": "initial final",
    "linux": "devices netDevices uidMappings gidMappings namespaces resources cgroupsPath rootfsPropagation seccomp "
    "sysctl maskedPaths readonlyPaths mountLabel intelRdt memoryPolicy personality timeOffsets",
    "linux.devices[]": "type path fileMode major minor uid gid",
    "linux.netDevices.*": "name",
    "linux.namespaces[]": "type path",
    "linux.resources": "unified devices pids blockIO cpu hugepageLimits memory network rdma",
    "linux.resources.devices[]": "allow type major minor access",
    "linux.resources.pids": "limit",
    BLOCK: f"weight leafWeight weightDevice {' '.join(THROTTLES)}",
    f"{BLOCK}.weightDevice[]": "major minor weight leafWeight",
    **{f"{BLOCK}.{name}[]": "major minor rate" for name in THROTTLES},
    "linux.resources.cpu": "cpus mems period quota burst realtimePeriod realtimeRuntime shares idle",
    "linux.resources.hugepageLimits[]": "pageSize limit",
    "linux.resources.memory": "kernel kernelTCP limit reservation swap swappiness disableOOMKiller useHierarchy "
    "checkBeforeUpdate",
    "linux.resources.network": "classID priorities",
    "linux.resources.network.priorities[]": "name priority",
    "linux.resources.rdma.*": "hcaHandles hcaObjects",
    "linux.seccomp": "defaultAction defaultErrnoRet flags listenerPath listenerMetadata architectures syscalls",
    "linux.seccomp.syscalls[]": "names action errnoRet args",
    "linux.seccomp.syscalls[].args[]": "index value valueTwo op",
    "linux.intelRdt": "closID schemata l3CacheSchema memBwSchema enableMonitoring",
    "linux.memoryPolicy": "mode nodes flags",
    "linux.personality": "domain flags",
    "linux.timeOffsets": "boottime monotonic",
    "linux.timeOffsets.boottime": "secs nanosecs",
    "linux.timeOffsets.monotonic": "secs nanosecs",
}
NAMES = tuple(f"{above}.{name}".removeprefix(".") for above, names in PUBLISHED.items() for name in names.split())

# What is not for Linux: config.md lets a runtime ignore it.
IGNORED = {
    "solaris": "another platform's", "windows": "another platform's", "vm": "for hypervisors",
    "zos": "another platform's", "freebsd": "another platform's",
    "process.commandLine": "Windows'; without process.args it is an error",
    "process.user.username": "Windows'",
}  # fmt: skip

# A value with which it must be refused by its name; what lies below it is refused with it.
REFUSED: dict[str, Any] = {
    "linux.intelRdt": {"closID": "x", "enableMonitoring": True},
    "linux.netDevices": {"eth0": {"name": "eth1"}},
    "linux.memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0", "flags": []},
    "linux.personality.flags": ["x"],
    "linux.resources.network.classID": 1,
    "linux.resources.network.priorities": [{"name": "eth0", "priority": 1}],
    "linux.resources.memory.kernel": 1,
    "linux.resources.memory.kernelTCP": 1,
    "linux.resources.memory.swappiness": 1,
    "linux.resources.memory.disableOOMKiller": True,
    "linux.resources.memory.useHierarchy": False,
    "linux.resources.memory.checkBeforeUpdate": True,
    "linux.resources.cpu.realtimePeriod": 1,
    "linux.resources.cpu.realtimeRuntime": 1,
    "linux.resources.blockIO.leafWeight": 10,
    "linux.resources.blockIO.weightDevice[].leafWeight": 10,
}

_HOOK = {"path": "/bin/true", "args": ["true", "x"], "env": ["A=B"], "timeout": 5}
_IDS = [{"containerID": 1, "hostID": 100000, "size": 65536}]
_RATE = [{"major": 8, "minor": 1, "rate": 600}]
# All the rest, honoured: each property with a value that makes a difference.
COMPLETE: dict[str, Any] = {
    "ociVersion": "1.2.0",
    "hooks": {kind: [_HOOK] for kind in HOOKS},
    "annotations": {"a": "b"},
    "hostname": "inside",
    "domainname": "example",
    "root": {"path": "rootfs", "readonly": True},
    "mounts": [
        {"source": "/x", "destination": "/y", "options": ["rbind", "ro"], "uidMappings": _IDS, "gidMappings": _IDS},
        {"destination": "/z", "type": "tmpfs", "options": ["size=4k"]},
    ],
    "process": {
        "terminal": True, "consoleSize": {"height": 24, "width": 80}, "cwd": "/", "args": ["sh"], "env": ["A=B"],
        "user": {"uid": 5, "gid": 6, "umask": 0o27, "additionalGids": [7]},
        "capabilities": {kind: ["CAP_CHOWN"] for kind in SETS},
        "apparmorProfile": "x", "selinuxLabel": "y", "oomScoreAdj": 5, "noNewPrivileges": True,
        "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4},
        "scheduler": {"policy": "SCHED_DEADLINE", "nice": 3, "priority": 1, "flags": ["SCHED_FLAG_RESET_ON_FORK"],
                      "runtime": 10, "deadline": 20, "period": 30},
        "rlimits": [{"type": "RLIMIT_CORE", "soft": 1, "hard": 2}],
        "execCPUAffinity": {"initial": "0", "final": "0-1"},
    },
    "linux": {
        "namespaces": [
            *({"type": kind} for kind in ("mount", "pid", "ipc", "uts", "user", "time")),
            {"type": "network", "path": "/run/netns/x"},
        ],
        "uidMappings": _IDS, "gidMappings": _IDS,
        "devices": [
            {"type": "c", "path": "/dev/x", "fileMode": 0o600, "major": 10, "minor": 229, "uid": 1, "gid": 2},
        ],
        "cgroupsPath": "system.slice:x:y", "rootfsPropagation": "slave", "sysctl": {"net.core.somaxconn": "5"},
        "maskedPaths": ["/a"], "readonlyPaths": ["/b"], "mountLabel": "z", "personality": {"domain": "LINUX32"},
        "timeOffsets": {"boottime": {"secs": 1, "nanosecs": 2}, "monotonic": {"secs": 3, "nanosecs": 4}},
        "seccomp": {
            "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 5, "flags": ["SECCOMP_FILTER_FLAG_LOG"],
            "listenerPath": "/run/agent", "listenerMetadata": "m", "architectures": ["SCMP_ARCH_X86"],
            "syscalls": [
                {"names": ["getpid"], "action": "SCMP_ACT_NOTIFY"},
                {"names": ["personality"], "action": "SCMP_ACT_ERRNO", "errnoRet": 7, "args": [
                    {"index": 1, "value": 8, "valueTwo": 9, "op": "SCMP_CMP_MASKED_EQ"}]},
            ],
        },
        "resources": {
            "unified": {"memory.high": "5"},
            "devices": [{"allow": True, "type": "c", "major": 1, "minor": 3, "access": "r"}],
            "pids": {"limit": 5},
            "blockIO": {"weight": 100, "weightDevice": [{"major": 8, "minor": 1, "weight": 200}],
                        **dict.fromkeys(THROTTLES, _RATE)},
            "cpu": {"cpus": "0", "mems": "0", "period": 5000, "quota": 6000, "burst": 7, "shares": 512, "idle": 1},
            "hugepageLimits": [{"pageSize": "2MB", "limit": 3}],
            "memory": {"limit": 100, "reservation": 50, "swap": 200},
            "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 4}},
        },
    },
}  # fmt: skip
# Without these there is no container, or half a thing: the sentence that says so is what they make.
REQUIRED = {
    "ociVersion", "root", "root.path", "process.args", "process.cwd", "linux", "linux.namespaces",
    "linux.namespaces[].type", "mounts[].destination",
}  # fmt: skip
