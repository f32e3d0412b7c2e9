# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cgroup has used: only what its controllers count, and nothing made up for those that are not there."""

from __future__ import annotations

from .cgroup import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def read(directory: str) -> dict[str, Any]:
    parts = {
        "cpu": _cpu(directory),
        "memory": _memory(directory),
        "pids": _tasks(directory),
        "blkio": _block(directory),
    }
    return {name: part for name, part in parts.items() if part}


def _text(directory: str, name: str) -> str:
    try:
        return files.read(directory, name)
    except FileNotFoundError:
        return ""


def _table(directory: str, name: str) -> dict[str, int]:
    lines = (line.split() for line in _text(directory, name).splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) == 2 and words[1].isdecimal()}


def _number(directory: str, name: str) -> int | None:
    text = _text(directory, name).strip()
    return int(text) if text.isdecimal() else None


def _cpu(directory: str) -> dict[str, Any]:
    found = _table(directory, "cpu.stat")
    if not found:
        return {}
    usage = {"total": "usage_usec", "kernel": "system_usec", "user": "user_usec"}
    throttling = {"periods": "nr_periods", "throttledPeriods": "nr_throttled"}
    return {
        "usage": {key: found.get(name, 0) * 1000 for key, name in usage.items()},  # in nanoseconds
        "throttling": {
            **{key: found[name] for key, name in throttling.items() if name in found},
            **({"throttledTime": found["throttled_usec"] * 1000} if "throttled_usec" in found else {}),
        },
    }


def _memory(directory: str) -> dict[str, Any]:
    used = _number(directory, "memory.current")
    if used is None:
        return {}
    counted = _table(directory, "memory.stat")
    swap = _number(directory, "memory.swap.current")
    return {
        "cache": counted.get("file", 0),
        "usage": _bounded(directory, used, "memory.max", "memory.peak"),
        **({"swap": _bounded(directory, used + swap, "memory.swap.max", "")} if swap is not None else {}),
        "raw": counted,
    }


def _bounded(directory: str, used: int, limit: str, peak: str) -> dict[str, int]:
    bound, most = _number(directory, limit), _number(directory, peak) if peak else None
    return {
        "usage": used,
        **({"limit": bound} if bound is not None else {}),
        **({"max": most} if most is not None else {}),
    }


def _tasks(directory: str) -> dict[str, int]:
    used, bound = _number(directory, "pids.current"), _number(directory, "pids.max")
    return {} if used is None else {"current": used, **({"limit": bound} if bound is not None else {})}


def _block(directory: str) -> dict[str, Any]:
    """8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6"""
    sizes: list[dict[str, Any]] = []
    counts: list[dict[str, Any]] = []
    for line in _text(directory, "io.stat").splitlines():
        device, *pairs = line.split()
        major, _, minor = device.partition(":")
        values = dict(pair.partition("=")[::2] for pair in pairs)
        for words, found in ((("rbytes", "wbytes"), sizes), (("rios", "wios"), counts)):
            for word, operation in zip(words, ("Read", "Write"), strict=True):
                number = int(values.get(word, "0"))
                found.append({"major": int(major), "minor": int(minor), "op": operation, "value": number})
    if not sizes:
        return {}
    return {"ioServiceBytesRecursive": sizes, "ioServicedRecursive": counts}
