# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits that exist are valid; those that would not be say which key, which value and which bound."""

from __future__ import annotations

from dataclasses import asdict
from json import dumps, loads
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mctld import cpuset
from mctld.bounds import INFINITY
from mctld.errors import InvalidArgs
from mctld.limits import Limits, rates, restored

MIB = 1 << 20


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ({"memory_max": 1 << 20}, "MemoryMax 1048576 is too small: the least is 4194304"),
        ({"memory_high": 4 * MIB - 1}, "MemoryHigh 4194303 is too small"),
        ({"memory_max": 2**63}, "MemoryMax 9223372036854775808 is out of range"),
        ({"memory_high": 9 * MIB, "memory_max": 8 * MIB}, "MemoryHigh 9437184 is above MemoryMax 8388608"),
        ({"memory_low": 9 * MIB, "memory_max": 8 * MIB}, "MemoryLow 9437184 is above MemoryMax 8388608"),
        (
            {"memory_low": 7 * MIB, "memory_high": 6 * MIB, "memory_max": 8 * MIB},
            "MemoryLow 7340032 is above MemoryHigh",
        ),
        ({"memory_low": INFINITY}, "MemoryLow 18446744073709551615 is out of range"),
        ({"memory_swap_max": 2**63}, "MemorySwapMax .* is out of range"),
        ({"cpu_weight": 0}, "CPUWeight 0 is out of range: it must be between 1 and 10000"),
        ({"cpu_weight": 10001}, "CPUWeight 10001 is out of range"),
        ({"cpu_quota_per_sec_usec": 0}, "CPUQuotaPerSecUSec 0 is out of range"),
        ({"cpu_quota_period_usec": 999}, "CPUQuotaPeriodUSec 999 is out of range: it must be between 1000 and 1000000"),
        ({"cpu_quota_period_usec": 1_000_001}, "CPUQuotaPeriodUSec 1000001 is out of range"),
        ({"tasks_max": 0}, "TasksMax 0 is out of range"),
        ({"tasks_max": 4_194_305}, "TasksMax 4194305 is out of range"),
        ({"io_weight": 0}, "IOWeight 0 is out of range: it must be between 1 and 10000"),
        ({"io_weight": 10_001}, "IOWeight 10001 is out of range"),
        ({"cpu_set": "0-"}, "CPUSet '0-' is not a list"),
        ({"cpu_set_mems": "a"}, "CPUSetMems 'a' is not a list"),
        ({"io_read_bandwidth_max": (("sda", 1),)}, "IOReadBandwidthMax 'sda' is not the plain path of a device"),
        ({"io_write_bandwidth_max": (("/dev/../etc", 1),)}, "IOWriteBandwidthMax '/dev/../etc' is not"),
        ({"io_write_bandwidth_max": (("/dev/a b", 1),)}, "is not the plain path"),
        ({"io_write_bandwidth_max": (("/dev/a\n[Service]", 1),)}, "is not the plain path"),
        ({"io_write_bandwidth_max": (("/dev/%n", 1),)}, "is not the plain path"),
        ({"io_write_bandwidth_max": (("/dev//sda", 1),)}, "is not the plain path"),
        ({"io_read_iops_max": (("/dev/" + "x" * 255, 1),)}, "is not the plain path"),
        ({"io_read_iops_max": (("/dev/sda", 0),)}, "IOReadIOPSMax of /dev/sda 0 is out of range"),
        ({"io_write_iops_max": (("/dev/sda", 2**32 - 1),)}, "IOWriteIOPSMax of /dev/sda 4294967295 is out of range"),
        ({"io_write_iops_max": tuple((f"/dev/sd{n}", 1) for n in range(33))}, "names 33 devices: the most is 32"),
        ({"huge_tlb_max": (("2M", 1),)}, "HugeTLBMax '2M' is not a size of huge pages, as 2MB"),
        ({"huge_tlb_max": (("../x", 1),)}, "HugeTLBMax '../x' is not a size"),
        ({"huge_tlb_max": (("2MB", 2**63),)}, "HugeTLBMax of 2MB 9223372036854775808 is out of range"),
        ({"huge_tlb_max": tuple((f"{n}MB", 1) for n in range(1, 18))}, "names 17 sizes of pages: the most is 16"),
    ],
)
def test_limits_name_key_value_and_bound(limits: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidArgs, match=sentence):
        Limits(**limits)


def test_limits_at_their_bounds() -> None:
    Limits(memory_max=4 * MIB, memory_high=4 * MIB, memory_low=4 * MIB, memory_swap_max=0, cpu_weight=1, tasks_max=1)
    Limits(cpu_weight=10_000, tasks_max=INFINITY, memory_low=2**63 - 1, io_weight=1)
    Limits(cpu_set="0,2-4,8191", io_read_bandwidth_max=(("/dev/disk/by-id/a_b:c.d=e@f,g#h+1-2", 2**63 - 1),))


def test_a_memory_limit_alone_means_no_swap() -> None:
    assert Limits().changed({"memory_max": 8 * MIB}).memory_swap_max == 0
    assert Limits().changed({"memory_max": 8 * MIB, "memory_swap_max": INFINITY}).memory_swap_max == INFINITY
    assert Limits().changed({"memory_max": INFINITY}).memory_swap_max == INFINITY
    chosen = Limits(memory_max=8 * MIB, memory_swap_max=3 * MIB)
    assert chosen.changed({"memory_max": 9 * MIB}).memory_swap_max == 3 * MIB


def test_a_change_is_judged_with_what_stays() -> None:
    limits = Limits(memory_max=64 * MIB, memory_high=48 * MIB)
    assert limits.changed({"memory_max": 48 * MIB}).memory_high == 48 * MIB
    with pytest.raises(InvalidArgs, match="MemoryHigh"):
        limits.changed({"memory_max": 32 * MIB})


def test_rates_without_limit_need_no_mention() -> None:
    assert rates({"/dev/b": 2, "/dev/a": 1, "/dev/c": INFINITY}) == (("/dev/a", 1), ("/dev/b", 2))


def test_limits_survive_json() -> None:
    limits = Limits(io_read_iops_max=(("/dev/a", 1), ("/dev/b", 2)), oom_group=True, cpu_set="0-1", memory_low=5,
                    huge_tlb_max=(("2MB", 0),))  # fmt: skip
    assert restored(loads(dumps(asdict(limits)))) == limits


def test_limits_of_an_older_version_are_read() -> None:
    assert restored({"memory_max": 8 * MIB, "tasks_max": 7}) == Limits(memory_max=8 * MIB, tasks_max=7)


@pytest.mark.parametrize(
    ("text", "numbers", "again"),
    [
        ("", set(), ""),
        ("3", {3}, "3"),
        ("0-2,8,1", {0, 1, 2, 8}, "0-2,8"),
        ("8191", {8191}, "8191"),
        ("4,5", {4, 5}, "4-5"),
    ],
)
def test_sets_are_read_and_written(text: str, numbers: set[int], again: str) -> None:
    found = cpuset.parse("CPUSet", text)
    assert found == numbers
    assert cpuset.text(found) == again


@pytest.mark.parametrize(
    "text", ["-1", "1-", "3-1", "8192", "0-8192", "1,,2", ",", " 1", "1 ", "01", "0x1", "١", "1\n", "a"]
)
def test_sets_that_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgs, match="CPUSet "):
        cpuset.parse("CPUSet", text)


@given(st.frozensets(st.integers(0, cpuset.HIGHEST), max_size=40))
def test_what_is_written_is_read_again(numbers: frozenset[int]) -> None:
    assert cpuset.parse("CPUSet", cpuset.text(numbers)) == numbers


def test_a_mask_has_a_bit_for_each_number() -> None:
    assert cpuset.mask(frozenset()) == b""
    assert cpuset.mask(frozenset({0, 3})) == b"\x09"
    assert cpuset.mask(frozenset({8})) == b"\x00\x01"
