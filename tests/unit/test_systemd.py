# SPDX-License-Identifier: GPL-3.0-or-later
"""What PID 1 and journald are told."""

from __future__ import annotations

import asyncio
import os
import struct
from typing import TYPE_CHECKING, Any

import pytest
from dbus_next.signature import Variant

from mctld.bounds import INFINITY
from mctld.errors import MctlError, SetupFailed
from mctld.limits import Limits
from mctld.systemd import journal, scope
from mctld.systemd.manager import UNIT_EXISTS, Manager, unit_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


class UnitExists(MctlError):
    """As the bus connection raises an error reply."""

    name = UNIT_EXISTS


class FakeSystemd:
    """PID 1 as far as Manager can tell: each start's result is given in advance."""

    def __init__(self, *results: str) -> None:
        self.results = list(results)
        self.calls: list[str] = []
        self.signals: dict[str, Callable[[str, list[Any]], None]] = {}

    async def call(
        self, destination: str, path: str, interface: str, member: str, signature: str = "", body: Sequence[Any] = ()
    ) -> list[Any]:
        self.calls.append(member)
        if member != "StartTransientUnit":
            return []
        result = self.results.pop(0)
        if result == UNIT_EXISTS:
            asyncio.get_running_loop().call_soon(self.signals["UnitRemoved"], "/x", [body[0], "/unit"])
            raise UnitExists
        self.signals["JobRemoved"]("/x", [1, "/job/1", body[0], result])  # before the reply, as may happen
        return ["/job/1"]

    async def on_signal(
        self, sender: str, interface: str, member: str, callback: Callable[[str, list[Any]], None]
    ) -> None:
        self.signals[member] = callback


def started(systemd: FakeSystemd) -> None:
    async def run() -> None:
        manager = Manager(systemd)
        await manager.open(lambda _unit: None, lambda _unit, _job: None, lambda _unit: None)
        await manager.start_transient("mctl-web.scope", [])

    asyncio.run(run())


def test_a_job_that_is_done_before_the_reply_counts() -> None:
    started(FakeSystemd("done"))


def test_a_failed_job_says_so() -> None:
    with pytest.raises(SetupFailed, match="job ended with 'failed'"):
        started(FakeSystemd("failed"))


def test_a_leftover_unit_is_waited_for() -> None:
    systemd = FakeSystemd(UNIT_EXISTS, "done")
    started(systemd)
    assert systemd.calls.count("StartTransientUnit") == 2
    assert "ResetFailedUnit" in systemd.calls


def test_jobs_are_told_of_and_say_of_which_kind_they_are() -> None:
    class Jobs(FakeSystemd):
        async def call(self, *args: Any, **_: Any) -> list[Any]:
            if args[1] == "/job/1":
                return [Variant("s", "stop")]
            if args[1] == "/job/2":
                raise UnitExists
            return []

    ended: list[str] = []

    async def run() -> tuple[list[tuple[str, str]], list[str]]:
        told: list[tuple[str, str]] = []
        systemd = Jobs()
        manager = Manager(systemd)
        await manager.open(lambda _unit: None, lambda unit, job: told.append((unit, job)), ended.append)
        systemd.signals["JobNew"]("/x", [1, "/job/1", "mctl-web.scope"])
        systemd.signals["JobRemoved"]("/x", [2, "/job/2", "mctl@web.service", "failed"])
        return told, [await manager.type_of(job) for job in ("/job/1", "/job/2")]

    assert asyncio.run(run()) == ([("mctl-web.scope", "/job/1")], ["stop", ""])
    assert ended == ["mctl@web.service"]


def test_a_unit_is_found_in_its_path() -> None:
    assert unit_of("/org/freedesktop/systemd1/unit/mctl_2dweb_2d1_2escope") == "mctl-web-1.scope"


def test_scope_properties_hold_no_text_of_the_callers() -> None:
    """A newline in a Description is code execution as root after the next daemon-reload."""
    properties = dict(scope.properties("web", 1000, 42, Limits(memory_max=8 << 20, memory_swap_max=0), 10_000_000, 3))
    assert (properties["KillSignal"].signature, properties["KillSignal"].value) == ("i", 3)
    values = {key: variant.value for key, variant in properties.items()}
    assert values["Description"] == "Container web"
    assert values["PIDs"] == [42]
    assert values["Slice"] == "mctl-u1000.slice"
    assert values["MemoryMax"] == 8 << 20
    assert values["MemorySwapMax"] == 0
    assert values["TasksMax"] == 2048
    assert "CPUWeight" not in values


def test_limits_as_systemd_takes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "possible").write_text("0-9\n")
    monkeypatch.setitem(scope.POSSIBLE, "AllowedCPUs", str(tmp_path / "possible"))
    disk, other = "/dev/sda", "/dev/sdb"
    old = Limits(memory_max=8 << 20, cpu_set="0-1", io_read_iops_max=((disk, 5),))
    new = Limits(memory_low=1, cpu_set="1,9", io_read_iops_max=((other, 6),), io_write_iops_max=((disk, 7),))
    changes = [(name, variant.signature, variant.value) for name, variant in scope.changed_properties(old, new)]
    assert changes == [
        ("MemoryMax", "t", INFINITY),
        ("MemoryLow", "t", 1),
        ("AllowedCPUs", "ay", b"\x02\x02"),
        ("IOReadIOPSMax", "a(st)", []),
        ("IOReadIOPSMax", "a(st)", [[other, 6]]),
        ("IOWriteIOPSMax", "a(st)", [[disk, 7]]),
    ]
    back = [(name, variant.value) for name, variant in scope.changed_properties(new, Limits(memory_max=8 << 20))]
    assert back == [
        ("MemoryMax", 8 << 20), ("MemoryLow", 0), ("AllowedCPUs", b"\xff\x03"),
        ("IOReadIOPSMax", []), ("IOWriteIOPSMax", []),
    ]  # fmt: skip
    assert scope.changed_properties(new, new) == []


def test_fields_are_published_as_journald_reads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "UNITS", str(tmp_path))
    journal.publish("mctl-web.scope", {"A": "1"})
    journal.publish("mctl-web.scope", {"CONTAINER_NAME": "web"})
    field = b"CONTAINER_NAME=web"
    assert (tmp_path / "log-extra-fields:mctl-web.scope").read_bytes() == struct.pack("<Q", len(field)) + field
    assert os.readlink(tmp_path / "log-rate-limit-burst:mctl-web.scope") == "0"
    assert journal.published() == {"mctl-web.scope"}
    journal.withdraw("mctl-web.scope")
    journal.withdraw("mctl-web.scope")
    assert not list(tmp_path.iterdir())
