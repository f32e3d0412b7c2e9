# SPDX-License-Identifier: GPL-3.0-or-later
"""What was meant, perhaps: only those who mistype pay for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

FEWEST = 2  # letters; one alone is like everything
LETTERS_A_MISTAKE = 6
MOST_LETTERS = 80


def suggestion(word: str, known: Sequence[str]) -> str:
    """In parentheses, for the end of a sentence; empty where nothing is close."""
    close = closest(word, known)
    return f" (did you mean {close}?)" if close else ""


def closest(word: str, known: Sequence[str]) -> str:
    """What goes on as the word does, the shortest of these; else what takes the fewest mistakes to become it."""
    typed = word.lstrip("-")
    if not FEWEST <= len(typed) <= MOST_LETTERS:
        return ""
    longer = [each for each in known if each.lstrip("-").startswith(typed)]
    if longer:
        return min(longer, key=len)
    most = max(1, len(typed) // LETTERS_A_MISTAKE + int(len(typed) >= LETTERS_A_MISTAKE))
    counted = [(mistakes(typed, each.lstrip("-")), each) for each in known if abs(len(each) - len(word)) <= most]
    return min((each for each in counted if each[0] <= most), key=lambda each: each[0], default=(0, ""))[1]


def mistakes(typed: str, meant: str) -> int:
    """Letters left out, put in, exchanged for others, and neighbours that have changed places: one each."""
    before: list[int] = []
    row = list(range(len(meant) + 1))
    for i, letter in enumerate(typed, 1):
        before, above, row = row, before, [i]
        for j, wanted in enumerate(meant, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == meant[j - 2] and typed[i - 2] == wanted:
                cost = min(cost, above[j - 2] + 1)
            row.append(cost)
    return row[-1]
