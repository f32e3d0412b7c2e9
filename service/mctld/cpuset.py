# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of processors and memory nodes as people and the kernel write them: 0-3,8 (cpuset(7), "List format")."""

from __future__ import annotations

import re

from .bounds import shown
from .errors import InvalidArgs

HIGHEST = 8191  # NR_CPUS of the largest kernels that distributions build
_LIST = re.compile(r"(0|[1-9][0-9]{0,3})(?:-(0|[1-9][0-9]{0,3}))?", re.ASCII)


def parse(key: str, text: str) -> frozenset[int]:
    """The numbers that `text` names; an empty text names none. InvalidArgs names `key`."""
    found: set[int] = set()
    for part in text.split(",") if text else ():
        match = _LIST.fullmatch(part)
        if not match:
            raise InvalidArgs(f"{key} {shown(text)} is not a list of numbers and ranges, as in 0-3,8")
        first = int(match[1])
        last = int(match[2] or first)
        if last < first or last > HIGHEST:
            raise InvalidArgs(f"{key} {shown(text)}: {part} must go upward, from 0 to at most {HIGHEST}")
        found |= set(range(first, last + 1))
    return frozenset(found)


def text(numbers: frozenset[int]) -> str:
    """The shortest list, as the kernel writes it."""
    parts: list[str] = []
    for number in sorted(numbers):
        if number - 1 in numbers:
            parts[-1] = f"{parts[-1].split('-')[0]}-{number}"
        else:
            parts.append(str(number))
    return ",".join(parts)


def mask(numbers: frozenset[int]) -> bytes:
    """One bit each, the lowest first: systemd's AllowedCPUs."""
    bits = sum(1 << number for number in numbers)
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")
