# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose a container's cgroup becomes, and which files of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from mctld.oci.cgroup import ownership
from unit.oci.bundles import LEAST, changed, read

if TYPE_CHECKING:
    from pathlib import Path

MOUNT = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}
SPACES = LEAST["linux"]["namespaces"]
MAPPED = {
    "linux__namespaces": [*SPACES, {"type": "user"}],
    "linux__uidMappings": [
        {"containerID": 0, "hostID": 5000, "size": 10}, {"containerID": 10, "hostID": 7000, "size": 5},
    ],
    "linux__gidMappings": [{"containerID": 0, "hostID": 6000, "size": 10}],
}  # fmt: skip
OWNERS: list[tuple[dict[str, Any], int | None]] = [
    ({}, None),
    ({"mounts": [MOUNT]}, None),  # root stays root
    ({"mounts": [MOUNT], **MAPPED}, 5000),
    ({"mounts": [MOUNT], "process__user": {"uid": 12}, **MAPPED}, 7002),
    ({"mounts": [MOUNT], "process__user": {"uid": 99}, **MAPPED}, None),
    ({"mounts": [MOUNT], "process__user": {"uid": 12}}, 12),
    ({"mounts": [{**MOUNT, "options": ["ro"]}], **MAPPED}, None),
    ({"mounts": [{**MOUNT, "destination": "/elsewhere"}], **MAPPED}, None),
    ({"mounts": [MOUNT], **MAPPED, "linux__namespaces": [{"type": "mount"}, {"type": "user"}]}, None),
    ({"mounts": [MOUNT], "linux__namespaces": [*SPACES, {"type": "user", "path": "/proc/5/ns/user"}]}, None),
    ({"mounts": [MOUNT], "process": None, **MAPPED}, None),
]


@pytest.mark.parametrize(("changes", "expected"), OWNERS, ids=str)
def test_owners(changes: dict[str, Any], expected: int | None) -> None:
    assert ownership.owner(read(changed(**changes))) == expected


@pytest.mark.parametrize("listed", ["cgroup.procs\nmemory.reclaim\n", None])
def test_only_what_the_kernel_names_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: str | None
) -> None:
    given: dict[str, tuple[int, int]] = {}

    def chown(path: str, uid: int, gid: int) -> None:
        os.stat(path)
        given[os.path.relpath(path, tmp_path)] = (uid, gid)

    for name in ("cgroup.procs", "memory.max", "memory.reclaim"):
        (tmp_path / name).touch()
    delegated = tmp_path / "delegate"
    if listed is not None:
        delegated.write_text(listed)
    monkeypatch.setattr(ownership, "DELEGATED", str(delegated))
    monkeypatch.setattr(os, "chown", chown)
    ownership.give(str(tmp_path), 5)
    assert given == dict.fromkeys((".", "cgroup.procs", "memory.reclaim") if listed else (".", "cgroup.procs"), (5, -1))
