# SPDX-License-Identifier: GPL-3.0-or-later
"""Every property of config.json: what it becomes, and what is refused with which sentence."""

from __future__ import annotations

from typing import Any

import pytest

from mctld.errors import InvalidArgs
from mctld.kernel import constants as c
from mctld.oci import reading
from unit.oci.bundles import IDS, USER, changed, read

MEMORY, CPU, BLOCK = "linux__resources__memory", "linux__resources__cpu", "linux__resources__blockIO"


def test_the_least_there_can_be() -> None:
    found = read(changed())
    assert (found.root, found.read_only, found.seccomp, found.maps) == ("/bundle/rootfs", False, "", None)
    assert found.process is not None
    assert (found.process.uid, found.process.umask, found.process.oom_score_adjust) == (0, None, None)
    assert found.resources.rules is None


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"ociVersion": None}, "config.json.ociVersion is missing"),
    ({"ociVersion": "1"}, "must be a version such as 1.2.0"),
    ({"ociVersion": "2.0.0"}, "versions 1.x"),
    ({"root": None}, "root.path is missing"),
    ({"root__path": ""}, "must be a path"),
    ({"root__path": 5}, "must be a string"),
    ({"root__path": "a\0b"}, "NUL"),
    ({"root__readonly": "yes"}, "must be true or false"),
    ({"process__args": []}, "must name a command"),
    ({"process__args": [""]}, "must name a command"),
    ({"process__args": "sh"}, "must be a list"),
    ({"process__cwd": "tmp"}, "must be an absolute path"),
    ({"process__cwd": None}, "process.cwd is missing"),
    ({"process__env": ["=x"]}, "must be NAME=VALUE"),
    ({"process__terminal": 1}, "must be true or false"),
    ({"process__terminal": True, "process__consoleSize": {"height": -1, "width": 5}}, "0 to 65535"),
    ({"process__user": {"uid": -1}}, "integer of 0 to 4294967294"),
    ({"process__user": {"uid": 2**32 - 1}}, "integer of 0 to 4294967294"),
    ({"process__user": {"uid": "0"}}, "must be an integer"),
    ({"process__user": {"uid": True}}, "must be an integer"),
    ({"process__user": {"gid": 1.5}}, "must be an integer"),
    ({"process__user": {"umask": 0o1000}}, "integer of 0 to 511"),
    ({"process__user": {"additionalGids": [-5]}}, r"additionalGids\[0\] is '-5'"),
    ({"process__oomScoreAdj": 1001}, "-1000 to 1000"),
    ({"process__rlimits": [{"type": "RLIMIT_NOPE", "soft": 1, "hard": 1}]}, "must be one of RLIMIT_AS"),
    ({"process__rlimits": [{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]}, "not be above the hard limit"),
    ({"process__rlimits": [{"type": "RLIMIT_CORE", "soft": 1, "hard": 1}] * 2}, "RLIMIT_CORE twice"),
    ({"process__rlimits": [{"type": "RLIMIT_CORE", "soft": 1}]}, "hard is missing"),
    ({"process__scheduler": {"policy": "SCHED_ISO"}}, "must be one of SCHED_OTHER"),
    ({"process__scheduler": {"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_UTIL_CLAMP_MIN"]}},
     "must be one of SCHED_FLAG_RESET_ON_FORK"),
    ({"process__scheduler": {"policy": "SCHED_DEADLINE", "runtime": -1}}, "runtime is '-1'"),
    ({"process__scheduler": {"policy": "SCHED_OTHER", "nice": 20}}, "-20 to 19"),
    ({"process__ioPriority": {"class": "IOPRIO_CLASS_NONE", "priority": 1}}, "must be one of IOPRIO_CLASS_RT"),
    ({"process__ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 8}}, "0 to 7"),
    ({"hostname": "x" * 65}, "64 bytes"),
    ({"hostname": "x", "linux__namespaces": [{"type": "mount"}]}, "the type uts"),
    ({"domainname": "x", "linux__namespaces": [{"type": "mount"}]}, "the type uts"),
    ({"mounts": [{"type": "proc"}]}, "destination is missing"),
    ({"mounts": [{"destination": "/", "type": "proc"}]}, "below the container's root"),
    ({"mounts": [{"destination": "/x", "options": ["rbind"]}]}, "a bind mount needs one"),
    ({"mounts": [{"destination": "/x", "source": "/y"}]}, "type of /proc/filesystems"),
    ({"mounts": [{"destination": "/x", "type": "tmpfs", "options": ["remount"]}]}, "remount only for bind"),
    ({"mounts": [{"destination": "/x", "type": "tmpfs", "options": ["idmap"]}]}, "bind mounts only"),
    ({"mounts": [{"destination": "/x", "type": "proc", "options": ["tmpcopyup"]}]}, "for tmpfs"),
    ({"mounts": [{"destination": "/x", "source": "/y", "options": ["bind", "idmap"]}]}, "mappings of its own"),
    ({"mounts": [{"destination": "/x", "source": "/y", "options": ["bind"], "uidMappings": IDS}]}, "both mappings"),
    ({"linux__namespaces": []}, "new mount namespace"),
    ({"linux__namespaces": [{"type": "mount", "path": "/proc/1/ns/mnt"}]}, "new mount namespace"),
    ({"linux__namespaces": [{"type": "mount"}, {"type": "mount"}]}, "the type mount twice"),
    ({"linux__namespaces": [{"type": "mount"}, {"type": "net"}]}, "must be one of cgroup"),
    ({"linux__namespaces": [{"type": "mount"}, {"type": "pid", "path": "x"}]}, "absolute path"),
    ({"linux__namespaces": USER}, "uidMappings is missing"),
    ({"linux__uidMappings": IDS}, "the type user"),
    ({"linux__namespaces": USER, "linux__uidMappings": IDS, "linux__gidMappings": []}, "1 to 340 entries"),
    ({"linux__namespaces": USER, "linux__uidMappings": IDS, "linux__gidMappings": [{"size": 1}]}, "containerID is"),
    ({"linux__namespaces": USER, "linux__uidMappings": IDS,
      "linux__gidMappings": [{"containerID": 0, "hostID": 0, "size": 0}]}, "size is '0'"),
    ({"linux__timeOffsets": {"monotonic": {"secs": 1}}}, "one of type time"),
    ({"linux__timeOffsets": {"realtime": {"secs": 1}}}, "monotonic and boottime"),
    ({"linux__devices": [{"type": "x", "path": "/dev/x", "major": 1, "minor": 1}]}, "must be one of c"),
    ({"linux__devices": [{"type": "c", "path": "/dev/../x", "major": 1, "minor": 1}]}, "plain path"),
    ({"linux__devices": [{"type": "c", "path": "/dev/x", "minor": 1}]}, "major is missing"),
    ({"linux__devices": [{"type": "p", "path": "/dev/x"}] * 2}, "/dev/x twice"),
    ({"linux__resources__devices": [{"access": "rwm"}]}, "allow is missing"),
    ({"linux__resources__devices": [{"allow": True, "access": "x"}]}, "made of r, w and m"),
    ({"linux__resources__devices": [{"allow": True, "type": "p"}]}, "must be one of a"),
    ({MEMORY: {"swap": 5}}, "memory.limit must be there too"),
    ({MEMORY: {"limit": 10, "swap": 5}}, "not be below memory.limit"),
    ({MEMORY: {"limit": "1g"}}, "must be an integer"),
    ({MEMORY: {"kernel": 5}}, "does not support it"),
    ({MEMORY: {"useHierarchy": False}}, "counts what is below"),
    ({MEMORY: {"swappiness": 5}}, "does not support it"),
    ({MEMORY: {"disableOOMKiller": True}}, "does not support it"),
    ({CPU: {"cpus": "0;1"}}, "a list such as 0-3,7"),
    ({CPU: {"realtimeRuntime": 5}}, "does not support it"),
    ({CPU: {"idle": 2}}, "0 to 1"),
    ({BLOCK: {"weight": 1001}}, "0 to 1000"),
    ({BLOCK: {"leafWeight": 10}}, "does not support it"),
    ({BLOCK: {"throttleReadBpsDevice": [{"major": 8, "minor": 0}]}}, "rate is missing"),
    ({"linux__resources__hugepageLimits": [{"pageSize": "../x", "limit": 1}]}, "a size such as 2MB"),
    ({"linux__resources__network": {"classID": 1}}, "does not support it"),
    ({"linux__resources__unified": {"cgroup.procs": "1"}}, "a controller's file"),
    ({"linux__resources__unified": {"../memory.max": "1"}}, "a controller's file"),
    ({"linux__resources__rdma": {"mlx5_1": {}}}, "hcaHandles, hcaObjects or both"),
    ({"linux__seccomp": {"listenerMetadata": "x"}}, "listenerPath, which is missing"),
    ({"linux__sysctl": {"kernel.core_pattern": "|/x"}}, "belongs to no namespace"),
    ({"linux__sysctl": {"net/../kernel/core_pattern": "|/x"}}, "not the name of a kernel parameter"),
    ({"linux__sysctl": {"net.core.somaxconn": "1"}, "linux__namespaces": [{"type": "mount"}]}, "the type network"),
    ({"linux__sysctl": {"kernel.shmmax": "1"}, "linux__namespaces": [{"type": "mount"}]}, "the type ipc"),
    ({"linux__sysctl": {"net.core.somaxconn": 1}}, "must be a string"),
    ({"linux__maskedPaths": ["proc/kcore"]}, "absolute path"),
    ({"linux__readonlyPaths": ["x"]}, "absolute path"),
    ({"linux__rootfsPropagation": "both"}, "must be one of private"),
    ({"linux__mountLabel": 5}, "must be a string"),
    ({"linux__seccomp": {"flags": ["SECCOMP_FILTER_FLAG_NEW_LISTENER"]}}, "must be one of SECCOMP_FILTER_FLAG_TSYNC"),
    ({"linux__seccomp": {"flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}}, "needs a rule with SCMP_ACT_NOTIFY"),
    ({"linux__personality": {"domain": "BSD"}}, "must be one of LINUX"),
    ({"linux__intelRdt": {"closID": "x"}}, "does not support it"),
    ({"linux__netDevices": {"eth0": {}}}, "does not support it"),
    ({"linux__memoryPolicy": {"mode": "MPOL_BIND"}}, "does not support it"),
    ({"hooks": {"prestart": [{"path": "x"}]}}, "absolute path"),
    ({"hooks": {"poststop": [{"path": "/x", "timeout": 0}]}}, "integer of 1 to"),
    ({"annotations": {"": "x"}}, "empty key"),
    ({"annotations": {"x": 1}}, "must be a string"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "sentence"), REFUSED, ids=[f"{sorted(c)[0]}: {s}" for c, s in REFUSED])
def test_what_is_wrong_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidArgs, match=sentence):
        read(changed(**changes))


def test_unknown_properties_are_ignored() -> None:
    """config.md, Extensibility."""
    assert read(changed(future=1, linux__future={"x": 1}, process__future=[1])) == read(changed())


FILES: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    ({}, []),
    ({"linux__resources": {}}, []),
    ({MEMORY: {"limit": 1 << 20}}, [("memory.max", "1048576")]),
    ({MEMORY: {"limit": -1}}, [("memory.max", "max")]),
    ({MEMORY: {"limit": 10, "swap": 30, "reservation": 5}},
     [("memory.max", "10"), ("memory.swap.max", "20"), ("memory.low", "5")]),
    ({MEMORY: {"limit": 10, "swap": -1}}, [("memory.max", "10"), ("memory.swap.max", "max")]),
    ({MEMORY: {"disableOOMKiller": False, "kernel": 0}}, []),
    ({CPU: {"shares": 1024}}, [("cpu.weight", "39")]),
    ({CPU: {"shares": 2}}, [("cpu.weight", "1")]),
    ({CPU: {"shares": 262144}}, [("cpu.weight", "10000")]),
    ({CPU: {"shares": 0}}, []),
    ({CPU: {"quota": 50000}}, [("cpu.max", "50000 100000")]),
    ({CPU: {"quota": -1, "period": 50000}}, [("cpu.max", "max 50000")]),
    ({CPU: {"burst": 5, "idle": 1}}, [("cpu.max.burst", "5"), ("cpu.idle", "1")]),
    ({CPU: {"cpus": "0-3,7", "mems": "0"}}, [("cpuset.cpus", "0-3,7"), ("cpuset.mems", "0")]),
    ({"linux__resources__pids": {"limit": 5}}, [("pids.max", "5")]),
    ({"linux__resources__pids": {"limit": 0}}, [("pids.max", "max")]),
    ({"linux__resources__pids": {"limit": -1}}, [("pids.max", "max")]),
    ({BLOCK: {"weight": 10}}, [("io.weight", "default 1")]),
    ({BLOCK: {"weight": 1000}}, [("io.weight", "default 10000")]),
    ({BLOCK: {"weightDevice": [{"major": 8, "minor": 0, "weight": 10}]}}, [("io.weight", "8:0 1")]),
    ({BLOCK: {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 600}]}}, [("io.max", "8:0 rbps=600")]),
    ({BLOCK: {"throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 0}]}}, [("io.max", "8:16 wiops=max")]),
    ({"linux__resources__hugepageLimits": [{"pageSize": "2MB", "limit": 5}]},
     [("hugetlb.2MB.rsvd.max", "5"), ("hugetlb.2MB.max", "5")]),
    ({"linux__resources__rdma": {"mlx5_1": {"hcaHandles": 3}}}, [("rdma.max", "mlx5_1 hca_handle=3")]),
    ({"linux__resources__unified": {"memory.high": "5", "cgroup.max.depth": "2"}},
     [("memory.high", "5"), ("cgroup.max.depth", "2")]),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "expected"), FILES, ids=[str(c) for c, _ in FILES])
def test_resources_are_files_of_cgroup_v2(changes: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert list(read(changed(**changes)).resources.files) == expected


WORDS: list[tuple[list[str], dict[str, Any]]] = [
    (["ro"], {"added": c.MOUNT_ATTR_RDONLY}),
    (["ro", "rw"], {"added": 0, "removed": c.MOUNT_ATTR_RDONLY}),
    (["rw", "ro"], {"added": c.MOUNT_ATTR_RDONLY, "removed": 0}),
    (["nosuid", "nodev", "noexec"], {"added": c.MOUNT_ATTR_NOSUID | c.MOUNT_ATTR_NODEV | c.MOUNT_ATTR_NOEXEC}),
    (["noatime"], {"added": c.MOUNT_ATTR_NOATIME, "removed": c.MOUNT_ATTR__ATIME}),
    (["noatime", "strictatime"], {"added": c.MOUNT_ATTR_STRICTATIME}),
    (["relatime"], {"added": 0, "removed": c.MOUNT_ATTR__ATIME}),
    (["nosymfollow", "nodiratime"], {"added": c.MOUNT_ATTR_NOSYMFOLLOW | c.MOUNT_ATTR_NODIRATIME}),
    (["rro"], {"added": 0, "each_added": c.MOUNT_ATTR_RDONLY}),
    (["rnosuid", "rrw"], {"each_added": c.MOUNT_ATTR_NOSUID, "each_removed": c.MOUNT_ATTR_RDONLY}),
    (["rbind"], {"bind": True, "recursive": True}),
    (["bind"], {"bind": True, "recursive": False}),
    (["rprivate"], {"propagation": c.MS_PRIVATE, "each_propagation": True}),
    (["shared"], {"propagation": c.MS_SHARED, "each_propagation": False}),
    (["rslave"], {"propagation": c.MS_SLAVE, "each_propagation": True}),
    (["runbindable"], {"propagation": c.MS_UNBINDABLE, "each_propagation": True}),
    (["defaults", "async", "silent", "loud"], {"added": 0, "removed": 0, "data": ()}),
    (["mode=755", "size=65k", "newinstance"], {"data": (("mode", "755"), ("size", "65k"), ("newinstance", None))}),
    (["sync", "lazytime"], {"data": (("sync", None), ("lazytime", None))}),
    (["tmpcopyup"], {"copy_up": True, "data": ()}),
]


@pytest.mark.parametrize(("words", "expected"), WORDS, ids=[",".join(words) for words, _ in WORDS])
def test_words_of_mounts(words: list[str], expected: dict[str, Any]) -> None:
    mount = {"destination": "/x", "type": "tmpfs", "source": "/y", "options": words}
    found = read(changed(mounts=[mount])).mounts[0].options
    assert {key: getattr(found, key) for key in expected} == expected


@pytest.mark.parametrize(
    ("given", "expected"), [("x", "/x"), ("/x/../y", "/y"), ("//x//./y/", "/x/y"), ("/../x", "/x")]
)
def test_destinations_are_plain(given: str, expected: str) -> None:
    assert read(changed(mounts=[{"destination": given, "type": "tmpfs"}])).mounts[0].target == expected


def test_capabilities_that_nobody_knows_are_told_apart() -> None:
    sets = {"bounding": ["CAP_CHOWN", "CAP_FUTURE"], "effective": ["chown"]}
    found = read(changed(process__capabilities=sets)).process
    assert found is not None
    assert (found.capabilities.bounding, found.capabilities.effective) == (("CHOWN",), ("CHOWN",))
    assert found.unknown_capabilities == ("FUTURE",)


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"[" * 100_000, b'{"a": NaN'])
def test_what_is_no_document(text: bytes) -> None:
    with pytest.raises(InvalidArgs, match=r"config\.json"):
        reading.read(text, "config.json")


def test_a_value_is_frozen() -> None:
    found = read(changed())
    with pytest.raises(AttributeError, match="frozen"):
        found.root = "/elsewhere"  # type: ignore[misc]
    with pytest.raises(TypeError, match="needs"):
        type(found)(root="/")  # type: ignore[call-arg]
