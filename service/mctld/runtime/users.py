# SPDX-License-Identifier: GPL-3.0-or-later
"""Ranges of user and group ids: each container has its own 65,536."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

RANGE = 65_536
# Above what adduser(8) hands out in subuid(5) by default, within what systemd leaves to containers
# (https://systemd.io/UIDS-GIDS: 524288 to 1879048191).
FIRST = 1_342_177_280
RANGES = 8_191
# What is unpacked is unpacked by these ids, which no container gets: the last that systemd leaves.
UNPACKING = FIRST + RANGES * RANGE


@dataclass(frozen=True, slots=True)
class IdMap:
    """Lines of /proc/PID/uid_map and gid_map, user_namespaces(7)."""

    uids: str
    gids: str


_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)
SUBORDINATE = ("/etc/subuid", "/etc/subgid")


def subordinate(paths: Iterable[str] = SUBORDINATE) -> list[tuple[int, int]]:
    """What subuid(5) and subgid(5) give to users: first id and first beyond. Lines that are not well-formed are not."""
    found = []
    for path in paths:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = [line.strip().split(":") for line in file]
        except FileNotFoundError:
            continue
        found += [(int(line[1]), int(line[1]) + int(line[2])) for line in lines if _is_entry(line)]
    return found


def _is_entry(line: list[str]) -> bool:
    return len(line) == 3 and all(_NUMBER.fullmatch(number) for number in line[1:])


def whole(shift: int) -> IdMap:
    """Id 0 to 65,535 inside are `shift` and above on the host."""
    line = f"0 {shift} {RANGE}"
    return IdMap(line, line)


def only(uid: int, gid: int, shift: int) -> IdMap:
    """Files of one user and one group show as root's; all others belong to nobody and are out of reach."""
    return IdMap(f"{uid} {shift} 1", f"{gid} {shift} 1")
