# SPDX-License-Identifier: GPL-3.0-or-later
"""A limit that the host cannot enforce is refused, by name."""

from __future__ import annotations

import stat
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from mctld.errors import SetupFailed
from mctld.limits import Limits
from mctld.runtime import cgroup

if TYPE_CHECKING:
    from pathlib import Path

EVERYTHING = frozenset({"cpu", "cpuset", "io", "memory", "pids", "hugetlb"})


@pytest.mark.parametrize(
    ("limits", "controller"),
    [
        (Limits(memory_max=8 << 20), "memory"),
        (Limits(memory_swap_max=0), "memory"),
        (Limits(cpu_weight=10), "cpu"),
        (Limits(cpu_quota_per_sec_usec=500_000), "cpu"),
        (Limits(tasks_max=10), "pids"),
        (Limits(memory_high=8 << 20), "memory"),
        (Limits(memory_low=1), "memory"),
        (Limits(oom_group=True), "memory"),
        (Limits(cpu_quota_period_usec=50_000), "cpu"),
        (Limits(cpu_set="0"), "cpuset"),
        (Limits(cpu_set_mems="0"), "cpuset"),
        (Limits(io_weight=5), "io"),
        (Limits(io_read_bandwidth_max=(("/dev/disk", 5),)), "io"),
        (Limits(io_write_bandwidth_max=(("/dev/disk", 5),)), "io"),
        (Limits(io_read_iops_max=(("/dev/disk", 5),)), "io"),
        (Limits(io_write_iops_max=(("/dev/disk", 5),)), "io"),
        (Limits(huge_tlb_max=(("2MB", 0),)), "hugetlb"),
    ],
)
def test_a_limit_needs_its_controller(limits: Limits, controller: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mctld.runtime.hugepages.sizes", lambda: frozenset({"2MB"}))
    monkeypatch.setattr("mctld.runtime.cgroup.os.stat", lambda _: SimpleNamespace(st_mode=stat.S_IFBLK))
    cgroup.check(limits, EVERYTHING)
    with pytest.raises(SetupFailed, match=f"no {controller} controller; `mctl check`"):
        cgroup.check(limits, EVERYTHING - {controller})


def test_no_limit_needs_no_controller_but_a_hierarchy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "cgroup.controllers"
    monkeypatch.setattr(cgroup, "CONTROLLERS", str(file))
    assert cgroup.available() == frozenset()
    with pytest.raises(SetupFailed, match=r"none is mounted at .*`mctl check`"):
        cgroup.check(Limits(), frozenset())
    file.write_text("cpu io\n")
    assert cgroup.available() == {"cpu", "io"}
    cgroup.check(Limits(), frozenset())


def test_processors_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "online").write_text("0-1,4\n")
    monkeypatch.setitem(cgroup.ONLINE, "CPUSet", str(tmp_path / "online"))
    monkeypatch.setitem(cgroup.ONLINE, "CPUSetMems", str(tmp_path / "a kernel without NUMA"))
    cgroup.check(Limits(cpu_set="0,4", cpu_set_mems="0"), EVERYTHING)
    with pytest.raises(SetupFailed, match="enforce CPUSet 0-4: processor 2 is not there: this host has 0-1,4"):
        cgroup.check(Limits(cpu_set="0-4"), EVERYTHING)
    with pytest.raises(SetupFailed, match="enforce CPUSetMems 1: memory node 1 is not there: this host has 0"):
        cgroup.check(Limits(cpu_set_mems="1"), EVERYTHING)


@pytest.mark.parametrize(("path", "sentence"), [("/dev/null", "is not a block device"), ("/dev/no", "cannot be found")])
def test_disks_that_are_not_there(path: str, sentence: str) -> None:
    with pytest.raises(SetupFailed, match=f"enforce IOReadIOPSMax: .*{path} {sentence}"):
        cgroup.check(Limits(io_read_iops_max=((path, 9),)), EVERYTHING)
