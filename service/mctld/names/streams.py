# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has streams open, and which of them ends for a new one where there are too many."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ALL = 128
OF_CONTAINER = 8


@dataclass(eq=False, slots=True)
class Stream:
    """idle: it is its asker's turn, to ask or to read; a higher number: for less long. None: it is ours."""

    owner: int
    asker: str
    end: Callable[[], None]
    idle: int | None = None


class Streams:
    def __init__(self) -> None:
        self._open: set[Stream] = set()
        self._moments = itertools.count()

    def admit(self, owner: int, asker: str, end: Callable[[], None]) -> Stream | None:
        """None where there is no place for it. RFC 7766, 6.2.3: a server may end idle streams whenever it has to."""
        own = [stream for stream in self._open if stream.asker == asker]
        crowd = own if len(own) >= OF_CONTAINER else self._open if len(self._open) >= ALL else None
        if crowd is not None and not self._end_one(crowd):
            return None
        made = Stream(owner, asker, end, next(self._moments))
        self._open.add(made)
        return made

    def forget(self, stream: Stream) -> None:
        self._open.discard(stream)

    @contextlib.contextmanager
    def busy(self, stream: Stream) -> Iterator[None]:
        """While its question is being answered."""
        stream.idle = None
        try:
            yield
        finally:
            stream.idle = next(self._moments)

    def _end_one(self, among: Iterable[Stream]) -> bool:
        """The one that has been idle for longest, of the owner who has most. False where none is idle."""
        owners = Counter(stream.owner for stream in self._open)
        idle = [(owners[stream.owner], -stream.idle, stream) for stream in among if stream.idle is not None]
        if not idle:
            return False
        *_, ended = max(idle)
        self.forget(ended)
        ended.end()
        return True
