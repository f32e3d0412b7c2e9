# SPDX-License-Identifier: GPL-3.0-or-later
"""What pipes can do beyond read(2) and write(2)."""

from __future__ import annotations

from .constants import SPLICE_F_NONBLOCK
from .libc import Int, Pointer, Size, function

_tee = function("tee", Int, Int, Size, Int)
_splice = function("splice", Int, Pointer, Int, Pointer, Size, Int)


def tee(source: int, target: int, size: int) -> int:
    """Puts what is in one pipe, at most `size` bytes of it, into another one as well, tee(2). How many: 0 at the end.

    BlockingIOError while there is nothing, or no room.
    """
    return _tee(source, target, size, SPLICE_F_NONBLOCK)


def splice(source: int, target: int, size: int) -> int:
    """Moves what is in a pipe, at most `size` bytes of it, splice(2). How many: 0 at the end.

    BlockingIOError while there is nothing.
    """
    return _splice(source, None, target, None, size, SPLICE_F_NONBLOCK)
