# SPDX-License-Identifier: GPL-3.0-or-later
"""A pool of ranges of user and group ids: none is ever given twice, none that somebody else has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import InvalidArgs, LimitsExceeded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Ids:
    """`count` ranges of `size` ids each, from `first` on, handed out in turn: a freed one is not the next to be used.

    `foreign` tells what others on this host have been given, as first id and first beyond.
    """

    def __init__(
        self, first: int, size: int, count: int, foreign: Callable[[], Iterable[tuple[int, int]]] = tuple
    ) -> None:
        self._first = first
        self._size = size
        self._count = count
        self._foreign = foreign
        self._at = 0
        self._used: set[int] = set()
        self._elsewhere: set[int] = set()  # asked for by number, and not where one of ours begins

    def remember(self, start: int) -> None:
        """It is in use already."""
        (self._used if self._is_ours(start) else self._elsewhere).add(start)

    def forget(self, start: int) -> None:
        self._used.discard(start)
        self._elsewhere.discard(start)

    def choose(self) -> int:
        """One that is free; not remembered yet."""
        foreign = list(self._foreign())
        for step in range(self._count):
            index = (self._at + step) % self._count
            start = self._first + index * self._size
            if start not in self._used and not self._overlaps(start) and not self._is_foreign(start, foreign):
                self._at = index + 1
                return start
        raise LimitsExceeded(
            f"all {self._count} ranges of user ids are in use, by containers or in subuid(5): remove a container"
        )

    def check(self, start: int) -> int:
        """A range that was asked for by its first id."""
        if self._overlaps(start) or any(abs(start - used) < self._size for used in self._used):
            raise InvalidArgs(f"UserNamespace {start}: some of the {self._size} ids from there are another container's")
        return start

    def containing(self, number: int) -> int | None:
        """Where the range begins that an id is in, if it is one of ours and free."""
        start = number - (number - self._first) % self._size
        return start if self._is_ours(start) and start not in self._used else None

    def _is_ours(self, start: int) -> bool:
        index, rest = divmod(start - self._first, self._size)
        return rest == 0 and 0 <= index < self._count

    def _overlaps(self, start: int) -> bool:
        return any(abs(start - used) < self._size for used in self._elsewhere)

    def _is_foreign(self, start: int, foreign: list[tuple[int, int]]) -> bool:
        return any(start < end and begin < start + self._size for begin, end in foreign)
