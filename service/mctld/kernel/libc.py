# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way into the kernel: each call declared once and checked once.

Every failure is an OSError with errno, the call's name and the first path among its arguments.
Light on purpose: the spawner imports it, and pays for nothing but ctypes.
"""

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False  # typing costs the spawner 7 ms; type checkers know this idiom
if TYPE_CHECKING:
    from collections.abc import Callable

Int = ctypes.c_int
Long = ctypes.c_long
ULong = ctypes.c_ulong
Size = ctypes.c_size_t
Pointer = ctypes.c_void_p
Bytes = ctypes.c_char_p


_LIBRARY = ctypes.CDLL(None, use_errno=True)  # each makes a class of its own, and there are forty functions
_HOLDING = ctypes.PyDLL(None, use_errno=True)


class Path(ctypes.c_char_p):
    """A str, bytes or None given to C."""

    @classmethod
    def from_param(cls, value: str | bytes | None) -> bytes | None:  # type: ignore[override]  # ctypes takes these too
        return None if value is None else os.fsencode(value)


def _checker(name: str) -> Callable[[int, object, tuple[object, ...]], int]:
    def check(result: int, _function: object, arguments: tuple[object, ...]) -> int:
        if result == -1:
            code = ctypes.get_errno()
            paths = [a for a in arguments if isinstance(a, str) and a]
            raise OSError(code, f"{name}: {os.strerror(code)}", *paths[:1])
        return result

    return check


def function(name: str, *types: type, holds_gil: bool = False) -> Callable[..., int]:
    """A function of libc that answers -1 and errno on failure."""
    entry = (_HOLDING if holds_gil else _LIBRARY)[name]  # indexing makes a fresh pointer: argtypes are never shared
    entry.argtypes = types
    entry.restype = Int  # not c_long: that reads a 32-bit -1 as 4294967295 and loses the failure
    entry.errcheck = _checker(name)  # type: ignore[assignment]  # typeshed does not know what errcheck may return
    return entry


def call(number: int, name: str, *types: type, holds_gil: bool = False) -> Callable[..., int]:
    """A system call without a wrapper in libc. From 424 on a number is the same on every architecture."""
    entry = (_HOLDING if holds_gil else _LIBRARY)["syscall"]
    entry.argtypes = (Long, *types)
    entry.restype = Long
    entry.errcheck = _checker(name)  # type: ignore[assignment]  # typeshed does not know what errcheck may return
    return lambda *arguments: int(entry(number, *arguments))
