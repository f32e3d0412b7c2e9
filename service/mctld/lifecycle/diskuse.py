# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of the disk directories take. Counting goes through every file: so it is done only when somebody asks, and
for one user one question at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import LimitsExceeded
from ..runtime.counting import counted

if TYPE_CHECKING:
    from collections.abc import Sequence


class DiskUse:
    def __init__(self) -> None:
        self._asking: set[int] = set()

    async def of(self, paths: Sequence[str], uid: int) -> list[int]:
        """Bytes, in the order of the paths; 0 for what is not there."""
        if uid in self._asking:
            raise LimitsExceeded(f"the disk use is being counted for user {uid} already: wait for that answer")
        self._asking.add(uid)
        try:
            found = await counted(paths) if paths else {}
        finally:
            self._asking.discard(uid)
        return [found.get(path, 0) for path in paths]
