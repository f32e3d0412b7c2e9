# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that limit a container, for run, create and update alike, and what they are on the bus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .failures import UsageError
from .parser import Option
from .sizes import INFINITY, UNLIMITED, is_decimal, size, size_or_unlimited, whole

if TYPE_CHECKING:
    from .parser import Arguments

MEMORY_FLOOR = 4 << 20
TASKS_MAX = 4_194_304
CPUS_LEAST, CPUS_MOST = 0.001, 8192
CPU_MOST = 8191
PERIOD = 100_000  # microseconds, the kernel's
OPERATIONS_MAX = 2**32 - 2


def memory(flag: str, text: str) -> int:
    value = size_or_unlimited(flag, text)
    if value < MEMORY_FLOOR:
        raise UsageError(f"{flag} {text} is too small: the least is 4m (4 MiB, {MEMORY_FLOOR} bytes)")
    return value


def cpus(flag: str, text: str) -> int:
    """Microseconds of CPU time in a second for a number of CPUs."""
    if text.lower() in UNLIMITED:
        return INFINITY
    if not is_decimal(text) or not CPUS_LEAST <= float(text) <= CPUS_MOST:
        raise UsageError(f"{flag} {text!r} is out of range: give CPUs from {CPUS_LEAST} to {CPUS_MOST}, as in 0.5 or 2")
    return round(float(text) * 1_000_000)


def quota(flag: str, text: str) -> int:
    if text.lower() in UNLIMITED:
        return INFINITY
    return whole(flag, text, 1_000, CPUS_MOST * 1_000_000)


def period(flag: str, text: str) -> int:
    return whole(flag, text, 1_000, 1_000_000)


def weight(flag: str, text: str) -> int:
    return whole(flag, text, 1, 10_000)


def shares(flag: str, text: str) -> int:
    """docker's --cpu-shares as a weight: the curve through (2, 1), (1024, 100) and (262144, 10000) of runc 1.3.2."""
    import math

    power = math.log2(whole(flag, text, 2, 262_144))
    return min(10_000, math.ceil(10 ** ((power * power + 125 * power) / 612 - 7 / 34)))


def block_weight(flag: str, text: str) -> int:
    """docker's --blkio-weight, 10 to 1000, on the scale from 1 to 10000, as runc does it."""
    return 1 + (whole(flag, text, 10, 1000) - 10) * 9999 // 990


def tasks(flag: str, text: str) -> int:
    """0 is unlimited, as are -1 and max."""
    if text.lower() in UNLIMITED:
        return INFINITY
    return whole(flag, text, 0, TASKS_MAX) or INFINITY


def numbers(flag: str, text: str) -> str:
    """A list of CPUs or memory nodes; whether they exist is the service's to say."""
    for part in text.split(",") if text else ():
        first, dash, last = part.partition("-")
        ends = [first, last] if dash else [first]
        if not all(end.isascii() and end.isdigit() and len(end) <= 4 and int(end) <= CPU_MOST for end in ends):
            raise UsageError(f"{flag} {text!r} is not a list of numbers and ranges up to {CPU_MOST}, as in 0-3,8")
        if dash and int(last) < int(first):
            raise UsageError(f"{flag} {text!r}: the range {part} goes downward")
    return text


def _device(flag: str, text: str) -> tuple[str, str]:
    path, colon, rate = text.rpartition(":")
    if not colon or not path.startswith("/dev/"):
        raise UsageError(f"{flag} {text!r} is not DEVICE:RATE, as in /dev/sda:10m")
    return path, rate


def bandwidth(flag: str, text: str) -> tuple[str, int]:
    path, rate = _device(flag, text)
    value = size_or_unlimited(flag, rate)
    if not value:
        raise UsageError(f"{flag} {text!r}: the least is 1 byte a second; max is no limit")
    return path, value


def operations(flag: str, text: str) -> tuple[str, int]:
    path, rate = _device(flag, text)
    return path, INFINITY if rate.lower() in UNLIMITED else whole(flag, rate, 1, OPERATIONS_MAX)


def huge_pages(flag: str, text: str) -> tuple[str, int]:
    """By size of the pages, in the kernel's word for it."""
    pages, colon, most = text.partition(":")
    if not colon or not pages:
        raise UsageError(f"{flag} {text!r} is not PAGES:SIZE, as in 2m:64m")
    kib, rest = divmod(size(flag, pages), 1024)
    for unit, shift in (("GB", 20), ("MB", 10), ("KB", 0)):
        if kib >> shift and not rest:
            return f"{kib >> shift}{unit}", size_or_unlimited(flag, most)
    raise UsageError(f"{flag} {text!r}: {pages} is no size of huge pages, as 2m and 1g are")


def rate_option(names: tuple[str, str], help: str, *, counted: bool = False) -> Option:  # noqa: A002 (as Option's own)
    value, convert = ("DEV:N", operations) if counted else ("DEV:RATE", bandwidth)
    return Option(names, help, value=value, convert=convert, repeat=True)


OPTIONS = (
    Option(("-m", "--memory"), "most memory, at least 4m", value="SIZE", convert=memory),
    Option(("--memory-high",), "memory from which on it is slowed down", value="SIZE", convert=memory),
    Option(("--memory-low", "--memory-reservation"), "memory that others shall leave it", value="SIZE", convert=size),
    Option(("--swap", "--memory-swap"), "most memory and swap together", value="SIZE", convert=size_or_unlimited),
    Option(("--oom-group",), "where memory runs out, kill all of it or nothing"),
    Option(("--cpu", "--cpus"), "most CPUs, as in 0.5", value="N", convert=cpus),
    Option(("--cpu-quota",), "most CPU time in a period, in microseconds", value="USEC", convert=quota),
    Option(("--cpu-period",), "the period, 100000 if not given", value="USEC", convert=period),
    Option(("--cpu-weight",), "its share where CPUs are scarce, 1 to 10000", value="N", convert=weight),
    Option(("--cpu-shares",), "the same as docker counts it, 2 to 262144", value="N", convert=shares),
    Option(("--cpuset", "--cpuset-cpus"), "the CPUs it may use, as in 0-3,8", value="LIST", convert=numbers),
    Option(("--cpuset-mems",), "the memory nodes it may use", value="LIST", convert=numbers),
    Option(("--pids", "--pids-limit"), "most processes and threads, 0 for no limit", value="N", convert=tasks),
    Option(("--io-weight",), "its share where disks are busy, 1 to 10000", value="N", convert=weight),
    Option(("--blkio-weight",), "the same as docker counts it, 10 to 1000", value="N", convert=block_weight),
    rate_option(("--io-read-bps", "--device-read-bps"), "most bytes read from a disk in a second"),
    rate_option(("--io-write-bps", "--device-write-bps"), "most bytes written to a disk in a second"),
    rate_option(("--io-read-iops", "--device-read-iops"), "most reads from a disk in a second", counted=True),
    rate_option(("--io-write-iops", "--device-write-iops"), "most writes to a disk in a second", counted=True),
    Option(("--hugetlb",), "most of huge pages of a size, as in 2m:64m", value="PAGES:SIZE", convert=huge_pages,
           repeat=True),
)  # fmt: skip

# key of the command line -> key on the bus and its type
DIRECT = {
    "memory": ("MemoryMax", "t"),
    "memory_high": ("MemoryHigh", "t"),
    "memory_reservation": ("MemoryLow", "t"),
    "oom_group": ("OOMGroup", "b"),
    "cpus": ("CPUQuotaPerSecUSec", "t"),
    "cpu_period": ("CPUQuotaPeriodUSec", "t"),
    "cpu_weight": ("CPUWeight", "t"),
    "cpu_shares": ("CPUWeight", "t"),
    "cpuset_cpus": ("CPUSet", "s"),
    "cpuset_mems": ("CPUSetMems", "s"),
    "pids_limit": ("TasksMax", "t"),
    "io_weight": ("IOWeight", "t"),
    "blkio_weight": ("IOWeight", "t"),
}
RATES = {
    "device_read_bps": "IOReadBandwidthMax",
    "device_write_bps": "IOWriteBandwidthMax",
    "device_read_iops": "IOReadIOPSMax",
    "device_write_iops": "IOWriteIOPSMax",
    "hugetlb": "HugeTLBMax",
}
ONE_OF = (("cpus", "cpu_quota"), ("cpu_weight", "cpu_shares"), ("io_weight", "blkio_weight"))


def limit_options(arguments: Arguments) -> dict[str, tuple[str, Any]]:
    """What CreateContainer and Update take of them."""
    given = arguments.options
    for one, other in ONE_OF:
        if one in given and other in given:
            flags = [f"--{key.replace('_', '-')}" for key in (one, other)]
            raise UsageError(f"{flags[0]} and {flags[1]} say the same in two ways: give one of them")
    found: dict[str, tuple[str, Any]] = {bus: (kind, given[key]) for key, (bus, kind) in DIRECT.items() if key in given}
    found |= {bus: ("a{st}", dict(given[key])) for key, bus in RATES.items() if key in given}
    if "cpu_quota" in given:
        length = given.get("cpu_period", PERIOD)
        found["CPUQuotaPerSecUSec"] = ("t", quota_in_a_second(given["cpu_quota"], length))
        found["CPUQuotaPeriodUSec"] = ("t", length)
    if "memory_swap" in given:
        found["MemorySwapMax"] = ("t", swap_alone(arguments))
    return found


def quota_in_a_second(microseconds: int, length: int) -> int:
    if microseconds == INFINITY:
        return INFINITY
    value = microseconds * 1_000_000 // length
    if value > CPUS_MOST * 1_000_000:
        raise UsageError(f"--cpu-quota {microseconds} in --cpu-period {length} is more than {CPUS_MOST} CPUs")
    return value


def swap_alone(arguments: Arguments) -> int:
    """--swap counts memory and swap together, as docker's --memory-swap; the kernel counts swap alone."""
    total: int = arguments.options["memory_swap"]
    limit: int | None = arguments.get("memory")
    if total == INFINITY:
        return INFINITY
    if limit is None or limit == INFINITY:
        raise UsageError(f"--swap {total} (bytes) needs a --memory limit: it counts memory and swap together")
    if total < limit:
        raise UsageError(f"--swap {total} is less than --memory {limit} (bytes): it counts memory and swap together")
    return total - limit
