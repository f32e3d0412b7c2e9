# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of huge pages: what PID 1 has no property for is written by us, all the way down."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from mctld.errors import SetupFailed
from mctld.runtime import hugepages

if TYPE_CHECKING:
    from pathlib import Path

GROUP = "/mctl.slice/mctl-u0.slice/mctl-web.scope"
FILES = ("hugetlb.2MB.rsvd.max", "hugetlb.2MB.max", "hugetlb.1GB.rsvd.max", "hugetlb.1GB.max")


@pytest.fixture
def hierarchy(tmp_path: Path) -> Path:
    place = tmp_path / GROUP.strip("/")
    place.mkdir(parents=True)
    for directory in (tmp_path, *list(place.parents)[: len(GROUP.split("/")) - 2]):
        (directory / "cgroup.subtree_control").write_text("memory pids")
    for name in FILES:
        (place / name).write_text("max")
    return tmp_path


def values(hierarchy: Path) -> dict[str, str]:
    return {name: (hierarchy / GROUP.strip("/") / name).read_text() for name in FILES}


def test_sizes_are_in_the_words_of_the_cgroups_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hugepages, "SIZES", str(tmp_path / "no"))
    assert hugepages.sizes() == frozenset()
    with pytest.raises(SetupFailed, match="enforce HugeTLBMax: there are no huge pages of 2MB: this host has none"):
        hugepages.check((("2MB", 0),))
    monkeypatch.setattr(hugepages, "SIZES", str(tmp_path))
    for name in ("hugepages-64kB", "hugepages-2048kB", "hugepages-1048576kB"):
        (tmp_path / name).mkdir()
    assert hugepages.sizes() == {"64KB", "2MB", "1GB"}
    hugepages.check((("2MB", 0), ("64KB", 5)))
    with pytest.raises(SetupFailed, match="no huge pages of 32MB: this host has 1GB and 2MB and 64KB"):
        hugepages.check((("32MB", 0),))


def test_reservations_are_limited_too_and_what_is_not_named_any_more_is_free(hierarchy: Path) -> None:
    hugepages.limit(str(hierarchy), GROUP, (("2MB", 4 << 20),))
    assert values(hierarchy) == dict(zip(FILES, ("4194304", "4194304", "max", "max"), strict=True))
    hugepages.limit(str(hierarchy), GROUP, (("1GB", 0),), (("2MB", 4 << 20),))
    # No file of the kernel's: what was longer leaves its end behind.
    assert [text[:3] for text in values(hierarchy).values()] == ["max", "max", "0ax", "0ax"]


def test_the_controller_is_enabled_above_and_not_in_the_cgroup_itself(hierarchy: Path) -> None:
    hugepages.limit(str(hierarchy), GROUP, ())
    controls = sorted(hierarchy.rglob("cgroup.subtree_control"))
    assert [file.read_text() for file in controls] == ["memory pids"] * 3
    hugepages.limit(str(hierarchy), GROUP, (("2MB", 0),))
    assert [file.read_text()[:8] for file in controls] == ["+hugetlb"] * 3
    assert not (hierarchy / GROUP.strip("/") / "cgroup.subtree_control").exists()


def test_what_the_kernel_does_not_take_is_told(hierarchy: Path) -> None:
    (hierarchy / GROUP.strip("/") / FILES[0]).unlink()
    with pytest.raises(SetupFailed, match=r"hugetlb\.2MB\.rsvd\.max does not take 5: No such file"):
        hugepages.limit(str(hierarchy), GROUP, (("2MB", 5),))
    os.remove(hierarchy / "mctl.slice/cgroup.subtree_control")
    with pytest.raises(SetupFailed, match=r"mctl\.slice does not hand the controller down"):
        hugepages.limit(str(hierarchy), GROUP, (("1GB", 5),))
