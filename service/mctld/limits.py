# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container may use: frozen, and valid from birth on."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from . import cpuset, reach
from .bounds import INFINITY, check_range, shown
from .errors import InvalidArgs

if TYPE_CHECKING:
    from collections.abc import Mapping

MEMORY_FLOOR = 4 << 20
DEFAULT_TASKS_MAX = 2048
DEVICES_MAX = 32  # of each kind of rate
PAGE_SIZES_MAX = 16  # the kernel knows a few on each architecture
BYTES_MAX = 2**63 - 1  # the kernel's page counters and io.max count no further
OPERATIONS_MAX = 2**32 - 2  # io.max keeps operations a second in 32 bits, all ones meaning no limit

# The path becomes a part of a unit file of PID 1's: no space, quote or specifier may be in it.
_DEVICE = re.compile(r"/dev(/[A-Za-z0-9_+:@=,#.-]+)+", re.ASCII)

_PAGE = re.compile(r"[1-9][0-9]{0,3}[KMG]B", re.ASCII)  # in the name of a file of the cgroup

Rates = tuple[tuple[str, int], ...]  # by device path or size of pages, in order


@dataclass(frozen=True, slots=True)
class Limits:
    """systemd.resource-control(5) properties of the container's scope, in systemd's own units.

    Bytes for memory, microseconds of CPU time per second for the quota, INFINITY for no limit and for PID 1's default.
    """

    memory_max: int = INFINITY
    memory_high: int = INFINITY
    memory_low: int = 0
    memory_swap_max: int = INFINITY
    oom_group: bool = False
    cpu_quota_per_sec_usec: int = INFINITY
    cpu_quota_period_usec: int = INFINITY
    cpu_weight: int = INFINITY
    cpu_set: str = ""  # all that the slice may use
    cpu_set_mems: str = ""
    tasks_max: int = DEFAULT_TASKS_MAX
    io_weight: int = INFINITY
    io_read_bandwidth_max: Rates = ()
    io_write_bandwidth_max: Rates = ()
    io_read_iops_max: Rates = ()
    io_write_iops_max: Rates = ()
    huge_tlb_max: Rates = ()  # by size of the pages
    ip_address_allow: tuple[str, ...] = ()
    ip_address_deny: tuple[str, ...] = ()
    socket_bind_deny: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._check_memory()
        self._check_processors()
        if self.tasks_max != INFINITY:
            check_range("TasksMax", self.tasks_max, 1, 4_194_304)
        if self.io_weight != INFINITY:
            check_range("IOWeight", self.io_weight, 1, 10_000)
        check_rates("IOReadBandwidthMax", self.io_read_bandwidth_max, BYTES_MAX)
        check_rates("IOWriteBandwidthMax", self.io_write_bandwidth_max, BYTES_MAX)
        check_rates("IOReadIOPSMax", self.io_read_iops_max, OPERATIONS_MAX)
        check_rates("IOWriteIOPSMax", self.io_write_iops_max, OPERATIONS_MAX)
        check_huge_pages(self.huge_tlb_max)
        reach.check_subnets("IPAddressAllow", self.ip_address_allow)
        reach.check_subnets("IPAddressDeny", self.ip_address_deny)
        reach.check_ports("SocketBindDeny", self.socket_bind_deny)

    def _check_memory(self) -> None:
        for key, value in (("MemoryMax", self.memory_max), ("MemoryHigh", self.memory_high)):
            if value < MEMORY_FLOOR:
                raise InvalidArgs(f"{key} {value} is too small: the least is {MEMORY_FLOOR} bytes (4 MiB)")
        for key, value in (
            ("MemoryMax", self.memory_max),
            ("MemoryHigh", self.memory_high),
            ("MemorySwapMax", self.memory_swap_max),
        ):
            if value != INFINITY:
                check_range(key, value, 0, BYTES_MAX)
        check_range("MemoryLow", self.memory_low, 0, BYTES_MAX)
        if INFINITY != self.memory_high > self.memory_max:
            raise InvalidArgs(
                f"MemoryHigh {self.memory_high} is above MemoryMax {self.memory_max}: what slows down must come first"
            )
        if self.memory_low > min(self.memory_high, self.memory_max):
            bound = "MemoryHigh" if self.memory_high <= self.memory_max else "MemoryMax"
            raise InvalidArgs(
                f"MemoryLow {self.memory_low} is above {bound} {min(self.memory_high, self.memory_max)}: "
                "what is protected must fit into what is allowed"
            )

    def _check_processors(self) -> None:
        if self.cpu_quota_per_sec_usec != INFINITY:
            check_range("CPUQuotaPerSecUSec", self.cpu_quota_per_sec_usec, 1_000, 8192 * 1_000_000)
        if self.cpu_quota_period_usec != INFINITY:
            check_range("CPUQuotaPeriodUSec", self.cpu_quota_period_usec, 1_000, 1_000_000)
        if self.cpu_weight != INFINITY:
            check_range("CPUWeight", self.cpu_weight, 1, 10_000)
        cpuset.parse("CPUSet", self.cpu_set)
        cpuset.parse("CPUSetMems", self.cpu_set_mems)

    def changed(self, given: Mapping[str, Any]) -> Limits:
        """With the `given` fields in place of these."""
        changes = dict(given)
        if "memory_max" in given and self.memory_max == self.memory_swap_max == INFINITY != given["memory_max"]:
            changes.setdefault("memory_swap_max", 0)  # else a limit of memory would only move the excess to swap
        return replace(self, **changes)


def check_rates(key: str, rates: Rates, most: int) -> None:
    if len(rates) > DEVICES_MAX:
        raise InvalidArgs(f"{key} names {len(rates)} devices: the most is {DEVICES_MAX}")
    for path, rate in rates:
        if not _DEVICE.fullmatch(path) or len(path) > 255 or {".", ".."} & set(path.split("/")):
            raise InvalidArgs(f"{key} {shown(path)} is not the plain path of a device, as /dev/sda")
        check_range(f"{key} of {path}", rate, 1, most)


def check_huge_pages(limits: Rates) -> None:
    if len(limits) > PAGE_SIZES_MAX:
        raise InvalidArgs(f"HugeTLBMax names {len(limits)} sizes of pages: the most is {PAGE_SIZES_MAX}")
    for size, value in limits:
        if not _PAGE.fullmatch(size):
            raise InvalidArgs(f"HugeTLBMax {shown(size)} is not a size of huge pages, as 2MB")
        check_range(f"HugeTLBMax of {size}", value, 0, BYTES_MAX)


def rates(given: Mapping[str, int]) -> Rates:
    """As Limits keeps them. What has no limit needs no mention."""
    return tuple(sorted((path, rate) for path, rate in given.items() if rate != INFINITY))


def restored(found: Mapping[str, Any]) -> Limits:
    """From what dataclasses.asdict() and JSON have made of one."""
    return Limits(**{key: _pairs(value) if isinstance(value, list) else value for key, value in found.items()})


def _pairs(found: list[Any]) -> Any:
    """Rates, or words."""
    return tuple(tuple(each) if isinstance(each, list) else each for each in found)
