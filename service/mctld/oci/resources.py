# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of a container: config-linux.md#control-groups, in the words of cgroup v2 (Documentation/cgroup-v2.rst)."""

from __future__ import annotations

from . import devices
from .cgroup.files import MAXIMUM
from .reading import INT64_MAX, UINT64_MAX
from .value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .devices import Rule
    from .reading import Value

_FILE, _PAGE = r"[a-z0-9_]+\.[a-zA-Z0-9_.]+", r"[0-9]+[KMG]B"
# Of a cgroup itself; all others are ours: freezing, moving, killing.
_CORE = ("cgroup.max.depth", "cgroup.max.descendants", "cgroup.pressure")
_LIST = frozenset("0123456789,- \n")
THROTTLES = {
    "throttleReadBpsDevice": "rbps", "throttleWriteBpsDevice": "wbps", "throttleReadIOPSDevice": "riops",
    "throttleWriteIOPSDevice": "wiops",
}  # fmt: skip


@value(frozen=True)
class Resources:
    """files: what to write into which file of the cgroup, in this order. rules: None where there is no list."""

    files: tuple[tuple[str, str], ...]
    rules: tuple[Rule, ...] | None


def read(given: Value) -> Resources:
    files: list[tuple[str, str]] = []
    for part in (_memory, _cpu, _tasks, _block, _huge_pages, _remote_memory, _network, _unified):
        files += part(given)
    return Resources(tuple(files), devices.read_rules(given["devices"]) if given["devices"].given else None)


def _limit(number: int) -> str:
    return MAXIMUM if number < 0 or number >= INT64_MAX else str(number)


def _memory(given: Value) -> list[tuple[str, str]]:
    memory, files = given["memory"], []
    limit = memory["limit"].optional_number(-1, INT64_MAX)
    swap = memory["swap"].optional_number(-1, INT64_MAX)
    reservation = memory["reservation"].optional_number(-1, INT64_MAX)
    if memory["useHierarchy"].given and not memory["useHierarchy"].boolean():
        raise memory["useHierarchy"].error("cgroup v2 always counts what is below a cgroup too")
    memory["checkBeforeUpdate"].refuse("the kernel reclaims first")
    memory["swappiness"].refuse("cgroup v2 has none of a single cgroup")
    for key in ("kernel", "kernelTCP"):
        if memory[key].number(-1, INT64_MAX, -1) > 0:
            memory[key].refuse("cgroup v2 counts it as part of all memory")
    memory["disableOOMKiller"].refuse("cgroup v2 cannot switch the OOM killer off")
    if limit:
        files.append(("memory.max", _limit(limit)))
    if swap:
        files.append(("memory.swap.max", _swap(memory, limit or 0, swap)))
    if reservation:
        files.append(("memory.low", _limit(reservation)))
    return files


def _swap(memory: Value, limit: int, swap: int) -> str:
    """The specification's is that of memory and swap together, the kernel's that of swap alone."""
    if swap < 0:
        return MAXIMUM
    if limit <= 0:
        raise memory["swap"].error("it is that of memory and swap together, so memory.limit must be there too")
    if swap < limit:
        raise memory["swap"].error(f"it must not be below memory.limit of {limit}")
    return str(swap - limit)


def _cpu(given: Value) -> list[tuple[str, str]]:
    cpu, files = given["cpu"], []
    for key in ("realtimeRuntime", "realtimePeriod"):
        if cpu[key].number(-1, INT64_MAX, 0) > 0:
            cpu[key].refuse("cgroup v2 has no limits of real-time scheduling")
    shares = cpu["shares"].optional_number(0, UINT64_MAX)
    if shares:
        files.append(("cpu.weight", str(weight(shares))))
    quota, period = cpu["quota"].optional_number(-1, INT64_MAX), cpu["period"].optional_number(0, UINT64_MAX)
    if quota or period:
        files.append(("cpu.max", f"{_limit(quota or -1)} {period or 100_000}"))
    burst = cpu["burst"].optional_number(0, UINT64_MAX)
    if burst is not None:
        files.append(("cpu.max.burst", str(burst)))
    idle = cpu["idle"].optional_number(0, 1)
    if idle is not None:
        files.append(("cpu.idle", str(idle)))
    for key, file in (("cpus", "cpuset.cpus"), ("mems", "cpuset.mems")):
        listed = cpu[key].text("")
        if not _LIST.issuperset(listed):
            raise cpu[key].error("it must be a list such as 0-3,7")
        if listed:
            files.append((file, listed))
    return files


def weight(shares: int) -> int:
    """From 2..262144 to 1..10000, as systemd, runc and crun have agreed on for cgroup v2."""
    return 1 + (min(max(shares, 2), 262_144) - 2) * 9999 // 262_142


def _tasks(given: Value) -> list[tuple[str, str]]:
    limit = given["pids"]["limit"].optional_number(-1, INT64_MAX)
    if limit is None:
        return []
    return [("pids.max", MAXIMUM if limit <= 0 else str(limit))]


def _block(given: Value) -> list[tuple[str, str]]:
    block, files = given["blockIO"], []
    block["leafWeight"].refuse("cgroup v2 has no weights of leaves")
    share = block["weight"].optional_number(0, 1000)
    if share:
        files.append(("io.weight", f"default {_io_weight(share)}"))
    for item in block["weightDevice"].items():
        item["leafWeight"].refuse("cgroup v2 has no weights of leaves")
        files.append(("io.weight", f"{_numbers(item)} {_io_weight(item['weight'].number(10, 1000))}"))
    for key, word in THROTTLES.items():
        for item in block[key].items():
            rate = item["rate"].number(0, UINT64_MAX)
            files.append(("io.max", f"{_numbers(item)} {word}={rate or MAXIMUM}"))
    return files


def _io_weight(share: int) -> int:
    """From 10..1000 to 1..10000, as runc and crun do."""
    return 1 + (max(share, 10) - 10) * 9999 // 990


def _numbers(item: Value) -> str:
    return f"{item['major'].number(0, devices.MAJOR_MAX)}:{item['minor'].number(0, devices.MINOR_MAX)}"


def _huge_pages(given: Value) -> list[tuple[str, str]]:
    """Reservations and what is used without one: config-linux.md#huge-page-limits."""
    files = []
    for item in given["hugepageLimits"].items():
        size = item["pageSize"].text()
        if not _is_like(_PAGE, size):
            raise item["pageSize"].error("it must be a size such as 2MB")
        limit = str(item["limit"].number(0, UINT64_MAX))
        files += [(f"hugetlb.{size}.rsvd.max", limit), (f"hugetlb.{size}.max", limit)]
    return files


def _remote_memory(given: Value) -> list[tuple[str, str]]:
    files = []
    for device, item in given["rdma"].members().items():
        if not device or set(device) & set(" \n"):
            raise item.error("its name is not that of a device")
        words = [f"{word}={item[key].number(0, 2**32 - 1)}" for key, word in
                 (("hcaHandles", "hca_handle"), ("hcaObjects", "hca_object")) if item[key].given]  # fmt: skip
        if not words:
            raise item.error("it must have hcaHandles, hcaObjects or both")
        files.append(("rdma.max", f"{device} {' '.join(words)}"))
    return files


def _network(given: Value) -> list[tuple[str, str]]:
    network = given["network"]
    network["classID"].refuse("cgroup v2 has no net_cls")
    network["priorities"].refuse("cgroup v2 has no net_prio")
    return []


def _unified(given: Value) -> list[tuple[str, str]]:
    """Files of cgroup v2 by name."""
    files = []
    for name, item in given["unified"].members().items():
        if not _is_like(_FILE, name) or (name.startswith("cgroup.") and name not in _CORE):
            raise item.error("its name must be that of a controller's file, such as memory.high")
        files.append((name, item.text()))
    return files


def _is_like(pattern: str, text: str) -> bool:
    """Few configurations have what is asked about, and importing re takes longer than reading all of this module."""
    import re

    return re.fullmatch(pattern, text) is not None
