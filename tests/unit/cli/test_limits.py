# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that limit: docker's scales and systemd's on the bus, and what is refused before."""

from __future__ import annotations

from typing import Any

import pytest

from mctl.failures import UsageError
from mctl.limits import limit_options
from mctl.parser import find_verb, parse

INFINITY = 2**64 - 1
MIB = 1 << 20


def asked(*words: str) -> dict[str, tuple[str, Any]]:
    return limit_options(parse(find_verb(["create", *words, "/", "sh"])))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--memory-high", "8m"], {"MemoryHigh": ("t", 8 * MIB)}),
        (["--memory-high", "max"], {"MemoryHigh": ("t", INFINITY)}),
        (["--memory-low", "0"], {"MemoryLow": ("t", 0)}),
        (["--memory-reservation", "1g"], {"MemoryLow": ("t", 1 << 30)}),
        (["--oom-group"], {"OOMGroup": ("b", True)}),
        (["--oom-group=false"], {"OOMGroup": ("b", False)}),
        (["--cpu-quota", "50000"], {"CPUQuotaPerSecUSec": ("t", 500_000), "CPUQuotaPeriodUSec": ("t", 100_000)}),
        (
            ["--cpu-quota", "50000", "--cpu-period", "25000"],
            {"CPUQuotaPerSecUSec": ("t", 2_000_000), "CPUQuotaPeriodUSec": ("t", 25_000)},
        ),
        (["--cpu-quota", "-1"], {"CPUQuotaPerSecUSec": ("t", INFINITY), "CPUQuotaPeriodUSec": ("t", 100_000)}),
        (
            ["--cpus", "1", "--cpu-period", "5000"],
            {"CPUQuotaPerSecUSec": ("t", 10**6), "CPUQuotaPeriodUSec": ("t", 5000)},
        ),
        (["--cpu-shares", "2"], {"CPUWeight": ("t", 1)}),
        (["--cpu-shares", "512"], {"CPUWeight": ("t", 59)}),
        (["--cpu-shares", "1024"], {"CPUWeight": ("t", 100)}),
        (["--cpu-shares", "2048"], {"CPUWeight": ("t", 174)}),
        (["--cpu-shares", "262144"], {"CPUWeight": ("t", 10_000)}),
        (["--cpuset", "0-3,8"], {"CPUSet": ("s", "0-3,8")}),
        (["--cpuset-cpus", "1"], {"CPUSet": ("s", "1")}),
        (["--cpuset-mems", ""], {"CPUSetMems": ("s", "")}),
        (["--io-weight", "10000"], {"IOWeight": ("t", 10_000)}),
        (["--blkio-weight", "10"], {"IOWeight": ("t", 1)}),
        (["--blkio-weight", "500"], {"IOWeight": ("t", 4950)}),
        (["--blkio-weight", "1000"], {"IOWeight": ("t", 10_000)}),
        (
            ["--io-read-bps", "/dev/sda:1m", "--device-read-bps", "/dev/disk/by-path/pci-0:0:5"],
            {"IOReadBandwidthMax": ("a{st}", {"/dev/sda": MIB, "/dev/disk/by-path/pci-0:0": 5})},
        ),
        (["--device-write-bps", "/dev/sda:max"], {"IOWriteBandwidthMax": ("a{st}", {"/dev/sda": INFINITY})}),
        (["--io-read-iops", "/dev/sda:100"], {"IOReadIOPSMax": ("a{st}", {"/dev/sda": 100})}),
        (
            ["--hugetlb", "2m:64m", "--hugetlb", "1GiB:max", "--hugetlb", "65536:0"],
            {"HugeTLBMax": ("a{st}", {"2MB": 64 * MIB, "1GB": INFINITY, "64KB": 0})},
        ),
        (["--device-write-iops", "/dev/sda:-1"], {"IOWriteIOPSMax": ("a{st}", {"/dev/sda": INFINITY})}),
    ],
)
def test_on_the_bus(words: list[str], expected: dict[str, object]) -> None:
    assert asked(*words) == expected


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--memory-high", "1m"], ["--memory-high", "1m", "4m"]),
        (["--memory-low", "max"], ["--memory-low", "max"]),
        (["--cpu-quota", "999"], ["--cpu-quota", "999", "1000"]),
        (["--cpu-quota", "8192000000", "--cpu-period", "1000"], ["--cpu-quota", "--cpu-period", "8192 CPUs"]),
        (["--cpu-period", "1000001"], ["--cpu-period", "1000001", "1000 to 1000000"]),
        (["--cpus", "1", "--cpu-quota", "1000"], ["--cpus", "--cpu-quota", "one of them"]),
        (["--cpu-shares", "1"], ["--cpu-shares", "1", "2 to 262144"]),
        (["--cpu-weight", "1", "--cpu-shares", "2"], ["--cpu-weight", "--cpu-shares"]),
        (["--cpuset", "1-"], ["--cpuset", "1-", "0-3,8"]),
        (["--cpuset", "3-1"], ["--cpuset", "3-1", "downward"]),
        (["--cpuset-cpus", "8192"], ["--cpuset-cpus", "8192", "8191"]),
        (["--io-weight", "0"], ["--io-weight", "0", "1 to 10000"]),
        (["--blkio-weight", "9"], ["--blkio-weight", "9", "10 to 1000"]),
        (["--io-weight", "1", "--blkio-weight", "10"], ["--io-weight", "--blkio-weight"]),
        (["--io-read-bps", "sda:1m"], ["--io-read-bps", "sda:1m", "DEVICE:RATE"]),
        (["--io-read-bps", "/dev/sda"], ["--io-read-bps", "/dev/sda", "DEVICE:RATE"]),
        (["--io-read-bps", "/dev/sda:0"], ["--io-read-bps", "/dev/sda:0", "1 byte"]),
        (["--io-write-iops", "/dev/sda:1k"], ["--io-write-iops", "1k", "1 to 4294967294"]),
        (["--hugetlb", "2m"], ["--hugetlb", "2m", "PAGES:SIZE"]),
        (["--hugetlb", "x:1m"], ["--hugetlb", "x", "not a size"]),
        (["--hugetlb", "512:1m"], ["--hugetlb", "512", "no size of huge pages"]),
        (["--hugetlb", "2m:-3"], ["--hugetlb", "-3"]),
        (["--oom-group=maybe"], ["--oom-group", "maybe"]),
    ],
)
def test_refused_with_flag_value_and_bound(words: list[str], parts: list[str]) -> None:
    with pytest.raises(UsageError) as raised:
        asked(*words)
    assert [part for part in parts if part not in str(raised.value)] == []
