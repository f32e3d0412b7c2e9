# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl stats: two looks, and what people read off them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mctl.client import INFINITY
from mctl.usage import for_people

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.cli.conftest import Result
    from unit.cli.fake_service import FakeService

    Mctl = Callable[..., Result]

MIB = 1 << 20
NUMBERS = {
    "CPUUsageUSec": 1_000_000, "MemoryCurrent": 96 * MIB, "MemoryCache": 32 * MIB, "MemoryPeak": 100 * MIB,
    "MemoryLimit": 256 * MIB, "MemorySwapCurrent": 0, "TasksCurrent": 7, "IOReadBytes": 0, "IOWriteBytes": 5 * MIB,
    "CPUPressureUSec": 0, "MemoryPressureUSec": 0, "IOPressureUSec": 0, "NetworkReceivedBytes": 1536,
    "NetworkSentBytes": INFINITY, "TimestampMonotonic": 10_000_000,
}  # fmt: skip


def told(name: str, **numbers: int) -> dict[str, tuple[str, Any]]:
    identity = {"web": "a", "db": "b"}[name] * 32
    values = {key: ("t", value) for key, value in (NUMBERS | numbers).items()}
    return {"Name": ("s", name), "Id": ("s", identity), "OwnerUID": ("u", 0), **values}


@pytest.fixture
def busy(service: FakeService) -> FakeService:
    later = {"CPUUsageUSec": 2_500_000, "TimestampMonotonic": 11_000_000}
    service.stats = [[told("web"), told("db")], [told("web", **later), told("db", TimestampMonotonic=11_000_000)]]
    return service


def test_the_table(mctl: Mctl, busy: FakeService) -> None:
    heads, db, web = mctl("stats", "--no-stream", "--interval", "100").stdout.decode().splitlines()
    assert heads.split("  ")[0] == "NAME"
    assert db.split()[:2] == ["db", "0.0"]
    words = ["web", "150.0", "64.0 MiB / 256.0 MiB", "25.0", "1.5 KiB / -", "0 B / 5.0 MiB", "7", "a" * 12]
    assert [word.strip() for word in web.split("  ") if word] == words
    assert [call[1:3] for call in busy.calls] == [("GetStats", ({}, 0))] * 2


def test_those_that_are_named(mctl: Mctl, busy: FakeService) -> None:
    result = mctl("stats", "--no-stream", "--interval=100", "--json=short", "aaaa", "nope")
    assert result.returncode == 1
    assert b"no container 'nope' runs that you may see" in result.stderr
    (found,) = json.loads(result.stdout)
    assert (found["Name"], found["CPU"], found["NetworkSentBytes"]) == ("web", "150.0", None)


def test_also_those_that_do_not_run(mctl: Mctl, busy: FakeService) -> None:
    """Nothing is counted of them, which is not 0. A name that is not there at all is an error all the same."""
    busy.add("idle")
    result = mctl("stats", "-a", "--no-stream", "--interval=100", "idle", "web", "nope")
    assert (result.returncode, b"no container 'nope' that you may see" in result.stderr) == (1, True)
    _, idle, web = result.stdout.decode().splitlines()
    assert idle.split()[:-1] == ["idle", "-", "-", "/", "-", "-", "-", "/", "-", "-", "/", "-", "-"]
    assert web.split()[:2] == ["web", "150.0"]
    assert mctl("stats", "--no-stream", "--interval=100", "idle").returncode == 1


def test_templates(mctl: Mctl, busy: FakeService) -> None:
    found = mctl("stats", "--no-stream", "--interval=100", "--format", "{{.Name}} {{.MemPerc}} {{.BlockIO}}", "web")
    assert found.stdout == b"web 25.0 0 B / 5.0 MiB\n"
    dockers = "table {{.Name}}\\t{{.CPUPerc}}\\t{{.MemUsage}}"
    shown = mctl("stats", "--no-stream", "--interval=100", "--format", dockers, "web").stdout.decode()
    heads, line = shown.splitlines()
    assert heads.split() == ["NAME", "CPUPERC", "MEMUSAGE"]
    assert line.startswith("web ")
    assert line.endswith(" 64.0 MiB / 256.0 MiB")


def test_none_of_those_that_are_named(mctl: Mctl, busy: FakeService) -> None:
    result = mctl("stats", "nope")
    assert (result.returncode, result.stdout) == (1, b"")


@pytest.mark.parametrize("words", [["--interval", "99"], ["--interval", "1s"], ["--json=ugly"]])
def test_what_is_refused(mctl: Mctl, service: FakeService, words: list[str]) -> None:
    assert mctl("stats", *words).returncode == 125
    assert service.calls == []


def plain(**numbers: int) -> dict[str, int]:
    return NUMBERS | numbers


@pytest.mark.parametrize(
    ("before", "now", "field", "shown"),
    [
        (None, plain(), "CPU", "-"),
        (plain(CPUUsageUSec=INFINITY), plain(), "CPU", "-"),
        (plain(CPUUsageUSec=9_000_000), plain(TimestampMonotonic=11_000_000), "CPU", "-"),  # started anew
        (plain(), plain(), "CPU", "-"),
        (plain(), plain(TimestampMonotonic=12_000_000, CPUUsageUSec=1_500_000), "CPU", "25.0"),
        (None, plain(MemoryLimit=INFINITY), "MemPerc", "-"),
        (None, plain(MemoryLimit=INFINITY), "Limit", "none"),
        (None, plain(MemoryCurrent=INFINITY), "Memory", "-"),
        (None, plain(MemoryCache=INFINITY), "Memory", "96.0 MiB"),
        (None, plain(MemoryCache=200 * MIB), "Memory", "0 B"),
        (None, plain(TasksCurrent=INFINITY), "PIDs", "-"),
    ],
)
def test_what_is_not_known(before: dict[str, int] | None, now: dict[str, int], field: str, shown: str) -> None:
    assert for_people(before, now)[field] == shown
