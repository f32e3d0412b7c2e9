# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables for terminals that are too narrow for them: broken lines are worse to read than shortened words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .output import GAP

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST = 12  # letters that a column keeps, and its head


def narrowed(
    lines: list[list[str]], widths: list[int], give: Sequence[str], columns: int
) -> tuple[list[list[str]], list[int]]:
    """The columns called `give` are shortened, each as far as it may be before the next, or left out where that is
    said with a -. Where all that is not enough nothing is lost: the table is as it was.
    """
    heads, fewer, left = lines[0], list(widths), set(range(len(widths)))
    for head in give:
        excess = sum(fewer[column] for column in left) + GAP * (len(left) - 1) - columns
        if excess <= 0:
            break
        column = heads.index(head.removeprefix("-"))
        if head.startswith("-"):
            left.remove(column)
        else:
            fewer[column] = max(fewer[column] - excess, min(fewer[column], max(LEAST, len(heads[column]))))
    if sum(fewer[column] for column in left) + GAP * (len(left) - 1) > columns:
        return lines, widths
    kept = sorted(left)
    shown = [[shortened(line[column], fewer[column]) for column in kept] for line in lines]
    return shown, [fewer[column] for column in kept]


def shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
