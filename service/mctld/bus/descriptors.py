# SPDX-License-Identifier: GPL-3.0-or-later
"""The file descriptors of one message: closed exactly once, whatever becomes of the message."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..errors import InvalidArgs
from ..kernel import handed

if TYPE_CHECKING:
    from collections.abc import Iterable


class Descriptors:
    """Owns its descriptors until they are taken or closed."""

    def __init__(self, fds: Iterable[int] = ()) -> None:
        self._fds = list(fds)

    def __len__(self) -> int:
        return len(self._fds)

    def add(self, fd: int) -> None:
        self._fds.append(fd)

    def peek(self, index: int) -> int:
        """The descriptor that a value of type h means; it stays ours."""
        if not 0 <= index < len(self._fds):
            raise InvalidArgs(f"file descriptor {index} did not come with the message, which has {len(self._fds)}")
        return self._fds[index]

    def copied(self) -> Descriptors:
        """Copies under the same indices, which stay open when the message's are closed."""
        return Descriptors(duplicates(self._fds))

    def take_all(self) -> list[int]:
        fds, self._fds = self._fds, []
        return fds

    def close(self) -> None:
        handed.close(self.take_all())


def duplicates(fds: Iterable[int]) -> list[int]:
    copies = Descriptors()
    try:
        for fd in fds:
            copies.add(os.dup(fd))
    except OSError:
        copies.close()
        raise
    return copies.take_all()
