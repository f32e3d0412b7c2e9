# SPDX-License-Identifier: GPL-3.0-or-later
"""Ranges of user and group ids: each container has its own 65,536."""

from __future__ import annotations

from dataclasses import dataclass

RANGE = 65_536
# Above what adduser(8) hands out in subuid(5) by default, within what systemd leaves to containers
# (https://systemd.io/UIDS-GIDS: 524288 to 1879048191).
FIRST = 1_342_177_280
RANGES = 8_191


@dataclass(frozen=True, slots=True)
class IdMap:
    """Lines of /proc/PID/uid_map and gid_map, user_namespaces(7)."""

    uids: str
    gids: str


def whole(shift: int) -> IdMap:
    """Id 0 to 65,535 inside are `shift` and above on the host."""
    line = f"0 {shift} {RANGE}"
    return IdMap(line, line)


def only(uid: int, gid: int, shift: int) -> IdMap:
    """Files of one user and one group show as root's; all others belong to nobody and are out of reach."""
    return IdMap(f"{uid} {shift} 1", f"{gid} {shift} 1")
