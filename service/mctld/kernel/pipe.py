# SPDX-License-Identifier: GPL-3.0-or-later
"""What pipes can do beyond read(2) and write(2)."""

from __future__ import annotations

from .constants import SPLICE_F_NONBLOCK
from .libc import Int, Size, function

_tee = function("tee", Int, Int, Size, Int)


def tee(source: int, target: int, size: int) -> int:
    """Puts what is in one pipe, at most `size` bytes of it, into another one as well, tee(2). How many: 0 at the end.

    BlockingIOError while there is nothing, or no room.
    """
    return _tee(source, target, size, SPLICE_F_NONBLOCK)
