# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines on a terminal that are drawn over, as what they tell of goes on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .output import printable, write_all

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROWS, COLUMNS = 24, 80  # where the terminal does not say
CLEAR_BELOW = "\x1b[J"


class Overdrawn:
    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._drawn = 0

    def draw(self, lines: Sequence[str], keep: Callable[[str], bool]) -> None:
        """The first is a heading. Where there is no room for all, those that `keep` says come before the others."""
        rows, columns = self._size()
        shown = [printable(line)[: columns - 1] for line in fitting(lines, rows - 1, keep)]
        self._write(CLEAR_BELOW + "".join(f"{line}\n" for line in shown))
        self._drawn = len(shown)

    def clear(self) -> None:
        self._write(CLEAR_BELOW)
        self._drawn = 0

    def _write(self, text: str) -> None:
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        write_all(self._terminal, f"\r{up}{text}".encode())

    def _size(self) -> tuple[int, int]:
        try:
            columns, rows = os.get_terminal_size(self._terminal)
        except OSError:
            return ROWS, COLUMNS
        return rows or ROWS, columns or COLUMNS


def fitting(lines: Sequence[str], rows: int, keep: Callable[[str], bool]) -> list[str]:
    """In their order; the last row tells how many are left out."""
    if len(lines) <= rows:
        return list(lines)
    room = max(rows - 2, 0)
    wanted = sorted(range(1, len(lines)), key=lambda at: not keep(lines[at]))[:room]
    left = len(lines) - 1 - len(wanted)
    return [lines[0], *(lines[at] for at in sorted(wanted)), f"and {left} more"][: max(rows, 1)]
