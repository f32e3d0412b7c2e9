# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits change as a whole or not at all: the store, PID 1 and the kernel never disagree."""

from __future__ import annotations

import asyncio
import os
import subprocess
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from mctld.bounds import INFINITY
from mctld.errors import InvalidArgs, MctlError, NoSuchContainer, SetupFailed, StoreFailed
from mctld.ids import Ids
from mctld.lifecycle import limits
from mctld.lifecycle.place import in_scope
from mctld.limits import Limits
from mctld.runtime import cgroup, enforcement
from mctld.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mctld.spec import Spec
    from mctld.store import Record

MIB = 1 << 20
GROUP = "mctl.slice/mctl-u1000.slice/mctl-web.scope"


class FakeSystemd:
    """Writes what it is told into the cgroup, unless it fails."""

    def __init__(self, group: Path) -> None:
        self.group = group
        self.told: list[tuple[str, int]] = []
        self.failure: Exception | None = None
        self.deaf = False

    async def set_properties(self, unit: str, properties: list[list[Any]]) -> None:
        assert unit == "mctl-web.scope"
        if self.failure:
            raise self.failure
        self.told += [(name, value.value) for name, value in properties]
        for name, value in properties:
            if name == "MemoryMax" and not self.deaf:
                text = "max" if value.value == INFINITY else str(value.value)
                (self.group / "memory.max").write_text(f"{text}\n")


class Host:
    def __init__(self, tmp_path: Path, store: Store) -> None:
        self.group = tmp_path / GROUP
        self.group.mkdir(parents=True)
        (self.group / "memory.max").write_text("max\n")
        (self.group / "memory.swap.max").write_text("0\n")
        (self.group / "memory.oom.group").write_text("0\n")
        self.systemd = FakeSystemd(self.group)
        self.store = store
        quotas = SimpleNamespace(patience=lambda usec, _: usec)
        settings = SimpleNamespace(containers=str(tmp_path / "containers"), quotas=quotas)
        self.machinery: Any = SimpleNamespace(
            systemd=self.systemd, store=store, controllers={"memory"}, settings=settings
        )

    def change(self, record: Record, running: bool = True, **changes: Any) -> Record:  # noqa: FBT001, FBT002
        wanted = replace(record.spec, limits=record.spec.limits.changed(changes))
        shown: list[Record] = []
        place = in_scope(record) if running else None
        asyncio.run(limits.change(self.machinery, record, wanted, place, None, shown.append))
        return shown[-1]

    def stored(self) -> Limits:
        ((record, _),) = self.store.load()
        return record.spec.limits


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(str(tmp_path / "state.db"), Ids(1_000_000, 65_536, 4))
    yield made
    made.close()


@pytest.fixture
def host(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> Host:
    for module in (cgroup, enforcement):
        monkeypatch.setattr(module, "HIERARCHY", f"{tmp_path}/")
    monkeypatch.setattr(cgroup, "CONTROLLERS", str(tmp_path))
    return Host(tmp_path, store)


@pytest.fixture
def record(store: Store, make_spec: Callable[..., Spec]) -> Record:
    return store.add(identity="web", owner_uid=1000, created_usec=7, spec=make_spec())


def test_a_change_reaches_pid_1_and_the_store(host: Host, record: Record) -> None:
    changed = host.change(record, memory_max=8 * MIB)
    assert changed.spec.limits == host.stored() == Limits(memory_max=8 * MIB, memory_swap_max=0)
    assert host.systemd.told == [("MemoryMax", 8 * MIB), ("MemorySwapMax", 0)]
    host.change(changed, memory_max=INFINITY)
    assert host.systemd.told[2:] == [("MemoryMax", INFINITY)]


def test_of_one_that_does_not_run_only_the_store_learns(host: Host, record: Record) -> None:
    host.change(record, running=False, memory_max=8 * MIB)
    assert host.stored().memory_max == 8 * MIB
    assert host.systemd.told == []


def test_the_oom_group_is_written_by_us(host: Host, record: Record) -> None:
    changed = host.change(record, oom_group=True)
    assert (host.group / "memory.oom.group").read_text() == "1"
    host.change(changed, oom_group=False)
    assert (host.group / "memory.oom.group").read_text() == "0"


def test_huge_pages_are_limited_by_us(host: Host, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mctld.runtime.hugepages.sizes", lambda: frozenset({"2MB"}))
    host.machinery.controllers = {"memory", "hugetlb"}
    files = [host.group / "hugetlb.2MB.rsvd.max", host.group / "hugetlb.2MB.max"]
    for file in files:
        file.write_text("max")
    for above in list(host.group.parents)[:3]:
        (above / "cgroup.subtree_control").write_text("hugetlb")
    record = host.change(record, huge_tlb_max=(("2MB", 4 * MIB),))
    assert [file.read_text() for file in files] == [str(4 * MIB)] * 2
    assert host.stored().huge_tlb_max == (("2MB", 4 * MIB),)
    files[1].unlink()
    with pytest.raises(SetupFailed, match="does not take"):
        host.change(record, huge_tlb_max=(("2MB", 9 * MIB),))
    assert files[0].read_text() == str(4 * MIB)  # as it was
    assert host.stored().huge_tlb_max == (("2MB", 4 * MIB),)


def test_a_bad_change_changes_nothing(host: Host, record: Record) -> None:
    record = host.change(record, memory_max=8 * MIB)
    host.systemd.told.clear()
    with pytest.raises(InvalidArgs, match="MemoryHigh"):
        host.change(record, memory_high=9 * MIB, oom_group=True)
    with pytest.raises(SetupFailed, match="no pids controller"):
        host.change(record, memory_max=9 * MIB, tasks_max=5)
    assert host.systemd.told == []
    assert host.stored() == record.spec.limits


def test_what_pid_1_refuses_is_not_stored(host: Host, record: Record) -> None:
    host.systemd.failure = MctlError("no")
    with pytest.raises(SetupFailed, match=r"change the limits of mctl-web\.scope: no"):
        host.change(record, memory_max=8 * MIB)
    assert host.stored() == record.spec.limits


def test_what_the_kernel_has_not_taken_over_is_taken_back(host: Host, record: Record) -> None:
    """PID 1 answers that all is well and logs what it could not write."""
    host.systemd.deaf = True
    with pytest.raises(SetupFailed, match=r"enforce MemoryMax: .* into memory\.max: it holds 'max'"):
        host.change(record, memory_max=8 * MIB)
    assert host.systemd.told[-2:] == [("MemoryMax", INFINITY), ("MemorySwapMax", INFINITY)]
    assert host.stored() == record.spec.limits


def test_what_cannot_be_stored_is_taken_back(host: Host, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise StoreFailed("the disk is full")

    monkeypatch.setattr(host.store, "amend", fail)
    with pytest.raises(StoreFailed):
        host.change(record, memory_max=8 * MIB)
    assert host.systemd.told[-2:] == [("MemoryMax", INFINITY), ("MemorySwapMax", INFINITY)]


def test_one_that_ends_meanwhile_keeps_its_new_limits(host: Host, record: Record) -> None:
    error = MctlError("Unit mctl-web.scope not loaded.")
    error.name = limits.GONE  # type: ignore[attr-defined]
    host.systemd.failure = error
    assert host.change(record, memory_max=8 * MIB).spec.limits == host.stored()
    assert host.stored().memory_max == 8 * MIB


def test_one_whose_first_process_has_ended_keeps_them_too(host: Host, record: Record) -> None:
    """PID 1 and the cgroup do not know yet: whatever fails then fails for that."""
    host.systemd.failure = MctlError("No such process")
    wanted = replace(record.spec, limits=record.spec.limits.changed({"memory_max": 8 * MIB}))

    def change(pidfd: int) -> None:
        asyncio.run(limits.change(host.machinery, record, wanted, in_scope(record), pidfd, lambda _: None))

    with subprocess.Popen(["sleep", "1000"]) as first:
        pidfd = os.pidfd_open(first.pid)
        try:
            with pytest.raises(SetupFailed, match="No such process"):
                change(pidfd)
            assert host.stored() == record.spec.limits
            first.kill()
            os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)
            change(pidfd)
        finally:
            first.kill()
            os.close(pidfd)
    assert host.stored() == wanted.limits


def test_one_that_is_removed_meanwhile_leaves_nothing(host: Host, record: Record, tmp_path: Path) -> None:
    """--rm, and it has ended."""
    host.store.remove(record)
    with pytest.raises(NoSuchContainer, match="'web' has been removed"):
        host.change(record, memory_max=8 * MIB)
    assert os.listdir(tmp_path / "containers" / record.id) == []


@pytest.mark.parametrize(
    ("asked", "file", "good", "bad"),
    [
        (Limits(memory_high=8 * MIB + 1), "memory.high", f"{8 * MIB}", f"{8 * MIB + 1}"),
        (Limits(memory_low=4096), "memory.low", "4096", "0"),
        (Limits(cpu_quota_per_sec_usec=500_000), "cpu.max", "50000 100000", "51000 100000"),
        (Limits(cpu_quota_per_sec_usec=500_000), "cpu.max", "5000 10000", "max 100000"),
        (Limits(cpu_weight=7), "cpu.weight", "7", "100"),
        (Limits(cpu_set="0,1"), "cpuset.cpus", "0-1", "0"),
        (Limits(cpu_set_mems="0"), "cpuset.mems", "0", ""),
        (Limits(tasks_max=5), "pids.max", "5", "max"),
        (Limits(oom_group=True), "memory.oom.group", "1", "0"),
        (Limits(io_weight=5), "io.weight", "default 5\n8:0 7", "default 100"),
        (
            Limits(io_read_iops_max=(("/dev/zero", 9),)),
            "io.max", "7:0 rbps=9\n1:5 rbps=max wbps=max riops=9 wiops=max", "1:5 rbps=9 wbps=max riops=max wiops=9",
        ),
    ],
)  # fmt: skip
def test_the_kernels_files_tell(host: Host, asked: Limits, file: str, good: str, bad: str) -> None:
    (host.group / file).write_text(f"{good}\n")
    enforcement.check(GROUP, asked)
    (host.group / file).write_text(f"{bad}\n")
    with pytest.raises(SetupFailed, match="the kernel has not taken it over"):
        enforcement.check(GROUP, asked)
    (host.group / file).unlink()
    with pytest.raises(SetupFailed, match="there is none"):
        enforcement.check(GROUP, asked)
