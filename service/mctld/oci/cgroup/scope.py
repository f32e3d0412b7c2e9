# SPDX-License-Identifier: GPL-3.0-or-later
"""A container's scope: systemd.scope(5), with the limits that PID 1 knows, so that a daemon-reload keeps them."""

from __future__ import annotations

from ...bounds import INFINITY, shown
from ...errors import InvalidArgs
from .files import MAXIMUM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from .place import Place

    Property = tuple[str, tuple[str, Any]]

ANNOTATION = "org.systemd.property."  # the engines' way of asking for properties of the unit
PERIOD_USEC = 100_000
NUMBERS = {"memory.max": "MemoryMax", "memory.swap.max": "MemorySwapMax", "memory.low": "MemoryLow",
           "memory.high": "MemoryHigh", "memory.min": "MemoryMin", "cpu.weight": "CPUWeight",
           "pids.max": "TasksMax"}  # fmt: skip
SETS = {"cpuset.cpus": "AllowedCPUs", "cpuset.mems": "AllowedMemoryNodes"}
# Compiled at their first use, by annotations, which few containers have.
_NAME = r"[A-Z][A-Za-z]{1,63}"
_TEXT = r"'([^'\\\x00-\x1f\x7f]*)'"
_LIST = r"\[('[^'\\\x00-\x1f\x7f]*'(, *'[^'\\\x00-\x1f\x7f]*')*)?\]"
_NUMBER = r"(?:(uint64|int64|uint32|int32) )?(-?[0-9]{1,20})"
_KINDS = {"uint64": "t", "int64": "x", "uint32": "u", "int32": "i", None: "i"}
# What decides whose the processes are is not for annotations, nor what PID 1 would run.
_OURS = {"PIDs", "Slice", "Delegate", "Description"}


def properties(
    place: Place, name: str, pid: int, limits: Iterable[tuple[str, str]], annotations: Mapping[str, str]
) -> list[Property]:
    """No text of a caller's but checked names: it would end up in a unit file."""
    wanted: dict[str, tuple[str, Any]] = {
        "Description": ("s", f"Container {name}"),
        "PIDs": ("au", [pid]),
        "Slice": ("s", place.slice),
        "Delegate": ("b", True),
        "DefaultDependencies": ("b", False),
        "CollectMode": ("s", "inactive-or-failed"),
        **{f"{kind}Accounting": ("b", True) for kind in ("CPU", "IO", "Memory", "Tasks")},
        **dict(limit_properties(limits)),
        **dict(_annotated(annotations)),
    }
    return list(wanted.items())


def limit_properties(limits: Iterable[tuple[str, str]]) -> list[Property]:
    found: list[Property] = []
    for file, text in limits:
        if file in NUMBERS and (text == MAXIMUM or text.isdecimal()):
            found.append((NUMBERS[file], ("t", INFINITY if text == MAXIMUM else int(text))))
        elif file in SETS and text.strip():
            from ... import cpuset

            property_name = SETS[file]
            found.append((property_name, ("ay", cpuset.mask(cpuset.parse(property_name, text.strip())))))
        elif file == "cpu.max":
            found += _quota(text)
    return found


def _quota(text: str) -> list[Property]:
    quota, _, period = text.partition(" ")
    microseconds = int(period or PERIOD_USEC)
    if quota == MAXIMUM:
        return [("CPUQuotaPerSecUSec", ("t", INFINITY)), ("CPUQuotaPeriodUSec", ("t", microseconds))]
    per_second = max(int(quota) * 1_000_000 // microseconds, 1)
    return [("CPUQuotaPerSecUSec", ("t", per_second)), ("CPUQuotaPeriodUSec", ("t", microseconds))]


def _annotated(annotations: Mapping[str, str]) -> list[Property]:
    found = []
    for key, text in annotations.items():
        if key.startswith(ANNOTATION):
            found.append(_property(key, text))
    return found


def _property(key: str, text: str) -> Property:
    """Texts, lists of them, booleans and numbers, in GVariant's text format, as runc and crun read them."""
    import re

    name, text = key.removeprefix(ANNOTATION), text.strip()
    if not re.fullmatch(_NAME, name) or name in _OURS:
        raise InvalidArgs(f"the annotation {shown(key)} names no property of a scope that may be set")
    if text in ("true", "false"):
        return name, ("b", text == "true")
    number = re.fullmatch(_NUMBER, text)
    if number:
        return _seconds(name, _KINDS[number[1]], int(number[2]))
    if re.fullmatch(_TEXT, text):
        return name, ("s", text[1:-1])
    if re.fullmatch(_LIST, text):
        return name, ("as", re.findall(_TEXT, text))
    raise InvalidArgs(f"the annotation {shown(key)} is {shown(text)}: it must be true, 5, uint64 5, 'text' or ['text']")


def _seconds(name: str, kind: str, number: int) -> Property:
    """TimeoutStopSec=5 as in unit files is TimeoutStopUSec on the bus."""
    if name.endswith("Sec") and not name.endswith("USec"):
        return f"{name.removesuffix('Sec')}USec", ("t", number * 1_000_000)
    return name, (kind, number)
