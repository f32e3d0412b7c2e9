# SPDX-License-Identifier: GPL-3.0-or-later
"""Every verdict on cgroups: what is offered, what holds it back, swap, devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mctld.lifecycle.check import cgroups
from mctld.lifecycle.check.cgroups import CONTROLLERS, Hierarchy, Legacy, Swap, Weighing
from mctld.lifecycle.check.finding import Verdict
from mctld.lifecycle.check.host import Host

if TYPE_CHECKING:
    from pathlib import Path

ALL = frozenset(CONTROLLERS)


def test_the_hierarchy() -> None:
    assert cgroups.hierarchy(Hierarchy(ALL)).verdict is Verdict.OK
    assert cgroups.hierarchy(Hierarchy(frozenset())).verdict is Verdict.OK  # it is there, with nothing in it
    absent = cgroups.hierarchy(Hierarchy(None))
    assert absent.verdict is Verdict.MISSING
    assert "systemd.unified_cgroup_hierarchy=1" in absent.remedy


@pytest.mark.parametrize("name", CONTROLLERS)
def test_each_controller(name: str) -> None:
    by_name = {f.name: f for f in cgroups.controllers(Hierarchy(ALL - {name}))}
    assert {f.name for f in by_name.values() if f.verdict is Verdict.OK} == {f"cgroup.{n}" for n in ALL - {name}}
    missing = by_name[f"cgroup.{name}"]
    assert (missing.verdict, missing.found) == (Verdict.MISSING, "not offered")
    assert "CONFIG_" in missing.remedy


@pytest.mark.parametrize("name", CONTROLLERS)
def test_without_a_hierarchy_no_controller_is_there(name: str) -> None:
    assert cgroups.controller(Hierarchy(None), name).verdict is Verdict.MISSING


@pytest.mark.parametrize(("name", "legacy"), [("memory", "memory"), ("io", "blkio")])
def test_what_holds_a_controller_back(name: str, legacy: str) -> None:
    disabled = cgroups.controller(Hierarchy(frozenset(), {legacy: Legacy(0, enabled=False)}), name)
    assert "command line" in disabled.found
    assert f"cgroup_disable={name}" in disabled.remedy
    held = cgroups.controller(Hierarchy(frozenset(), {legacy: Legacy(4, enabled=True)}), name)
    assert held.found == "held by a cgroup v1 hierarchy"
    assert "cgroup_no_v1=all" in held.remedy


def test_the_hierarchy_is_read(tmp_path: Path) -> None:
    host = Host(str(tmp_path))
    assert cgroups.read(host) == Hierarchy(None)
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "proc").mkdir()
    (tmp_path / "sys/fs/cgroup/cgroup.controllers").write_text("cpu io\n")
    (tmp_path / "proc/cgroups").write_text("#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t4\t1\t0\njunk\n")
    assert cgroups.read(host) == Hierarchy(frozenset({"cpu", "io"}), {"memory": Legacy(4, enabled=False)})


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        (Swap(memory=True, counted=True, spaces=1), Verdict.OK),
        (Swap(memory=True, counted=True, spaces=0), Verdict.OK),
        (Swap(memory=True, counted=False, spaces=1), Verdict.WARNING),
        (Swap(memory=False, counted=False, spaces=0), Verdict.UNKNOWN),
    ],
)
def test_swap(facts: Swap, verdict: Verdict) -> None:
    assert cgroups.swap(facts).verdict is verdict


def test_swap_is_read_of_the_own_cgroup(tmp_path: Path) -> None:
    own = tmp_path / "sys/fs/cgroup/system.slice/mctld.service"
    own.mkdir(parents=True)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("4:memory:/elsewhere\n0::/system.slice/mctld.service\n")
    (tmp_path / "proc/swaps").write_text("Filename Type Size\n/dev/sda2 partition 1\n")
    assert cgroups.read_swap(Host(str(tmp_path))) == Swap(memory=False, counted=False, spaces=1)
    (own / "memory.max").write_text("max\n")
    (own / "memory.swap.max").write_text("max\n")
    assert cgroups.read_swap(Host(str(tmp_path))) == Swap(memory=True, counted=True, spaces=1)


def test_rules_for_devices() -> None:
    assert cgroups.device_rules("").verdict is Verdict.OK
    assert cgroups.device_rules(None).verdict is Verdict.UNKNOWN
    refused = cgroups.device_rules("Operation not permitted")
    assert refused.verdict is Verdict.MISSING
    assert "Operation not permitted" in refused.found


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        (Weighing(controller=True, disks=("sda",)), Verdict.OK),
        (Weighing(controller=True, disks=()), Verdict.WARNING),
        (Weighing(controller=False, disks=("sda",)), Verdict.UNKNOWN),
    ],
)
def test_shares_of_disk_traffic(facts: Weighing, verdict: Verdict) -> None:
    assert cgroups.io_weight(facts).verdict is verdict


def test_who_shares_out_disk_traffic_is_read(tmp_path: Path) -> None:
    host = Host(str(tmp_path))
    assert cgroups.read_weighing(host) == Weighing(controller=False, disks=())
    for disk, scheduler in (("sda", "none [bfq]"), ("sdb", "[none] bfq"), ("loop0", "none")):
        (tmp_path / f"sys/block/{disk}/queue").mkdir(parents=True)
        (tmp_path / f"sys/block/{disk}/queue/scheduler").write_text(f"{scheduler}\n")
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/cgroup.controllers").write_text("cpu io\n")
    (tmp_path / "sys/fs/cgroup/io.cost.qos").write_text("8:16 enable=1 ctrl=auto\n8:32 enable=0 ctrl=auto\n")
    assert cgroups.read_weighing(host) == Weighing(controller=True, disks=("sda", "8:16"))
