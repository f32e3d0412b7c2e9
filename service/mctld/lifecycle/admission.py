# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of something slow may be under way at a time, of one user and in all."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import LimitsExceeded

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT_UID = 0


class Admission:
    """root is not bound: nobody else shall be able to keep an administrator out."""

    def __init__(self, of_one: int, in_all: int, what: str) -> None:
        """what: completes "3 archives of yours and 9 in all ..."."""
        self._of_one = of_one
        self._in_all = in_all
        self._what = what
        self._under_way: Counter[int] = Counter()

    @contextmanager
    def of(self, uid: int) -> Iterator[None]:
        """Raises LimitsExceeded."""
        mine, all_ = self._under_way[uid], self._under_way.total()
        if uid != ROOT_UID and (mine >= self._of_one or all_ >= self._in_all):
            raise LimitsExceeded(
                f"{mine} archives of yours and {all_} in all {self._what}: the most is {self._of_one} and "
                f"{self._in_all}; wait for one to end"
            )
        self._under_way[uid] += 1
        try:
            yield
        finally:
            self._under_way -= Counter({uid: 1})
