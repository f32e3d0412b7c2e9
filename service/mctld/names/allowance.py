# SPDX-License-Identifier: GPL-3.0-or-later
"""How many questions are passed on at a time: nobody's may use up what others need."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ALL = 2_048  # a socket each: LimitNOFILE= of mctl-names.service
OF_OWNER = 256
OF_CONTAINER = 64


class Allowance:
    def __init__(self) -> None:
        self._used: Counter[int | str] = Counter()  # by owner, and by the address that asks
        self._all = 0

    @contextlib.contextmanager
    def taken(self, owner: int, asker: str) -> Iterator[bool]:
        """Whether one more question may be passed on; if so it counts until the end of the block."""
        if self._all >= ALL or self._used[owner] >= OF_OWNER or self._used[asker] >= OF_CONTAINER:
            yield False
            return
        self._count(owner, asker, 1)
        try:
            yield True
        finally:
            self._count(owner, asker, -1)

    def _count(self, owner: int, asker: str, change: int) -> None:
        self._all += change
        for key in (owner, asker):
            self._used[key] += change
            if not self._used[key]:
                del self._used[key]
