# SPDX-License-Identifier: GPL-3.0-or-later
"""Long lists as bytes, made in a thread of their reader's: with labels they are as long as their owner likes.

Remembered is for what is asked for every second; what it keeps here would be as much again as what is told of.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ..errors import LimitsExceeded
from ..lifecycle.lanes import LOOKS, Lanes
from .codec import MESSAGE_MAX, encode_properties

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .codec import Encoded
    from .question import Call

    Row = list[tuple[str, str, Any]]  # names, types and values of one object's properties

AT_ONCE = 8  # rows that are no more work than a thread


class Lists:
    def __init__(self) -> None:
        self._lanes = Lanes(LOOKS)

    async def made(self, call: Call, rows: Sequence[Row]) -> list[Encoded]:
        """Raises LimitsExceeded where no message holds them."""
        if len(rows) <= AT_ONCE:
            return _made(rows)
        return await self._lanes.run(call.uid, lambda: _made(rows), ExitStack(), lambda _: None, call.check_unread)

    async def of(self, call: Call, rows: Mapping[str, Row]) -> Latest:
        return Latest(rows, await self.made(call, list(rows.values())))


class Latest:
    """What was made meanwhile, as long as it still holds: what is told must not be older than signals are."""

    def __init__(self, rows: Mapping[str, Row], made: Sequence[Encoded]) -> None:
        self._made = {path: (row, each) for (path, row), each in zip(rows.items(), made, strict=True)}

    def __call__(self, path: str, row: Row) -> Encoded:
        then, made = self._made.get(path, (None, None))
        return made if made is not None and then == row else encode_properties(row)


def _made(rows: Sequence[Row]) -> list[Encoded]:
    found, size = [], 0
    for row in rows:
        found.append(encode_properties(row))
        size += len(found[-1].content)
        if size > MESSAGE_MAX:
            raise LimitsExceeded(f"the list has more than {MESSAGE_MAX} bytes, the most that the bus takes")
    return found
