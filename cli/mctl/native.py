# SPDX-License-Identifier: GPL-3.0-or-later
"""Functions of a library in C, by what ctypes itself is made of: to import that takes 3 ms, and its structures of other
byte orders, wide characters and callbacks are nothing that sd-bus(3) needs."""

from __future__ import annotations

from _ctypes import FUNCFLAG_CDECL, CFuncPtr, Structure, _SimpleCData, byref, dlopen
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ctypes import (
        c_char,
        c_char_p,
        c_double,
        c_int,
        c_int16,
        c_int64,
        c_size_t,
        c_uint8,
        c_uint16,
        c_uint32,
        c_uint64,
        c_void_p,
    )
else:

    def _simple(code):
        return type(_SimpleCData)(f"simple_{code}", (_SimpleCData,), {"_type_": code})

    c_char, c_char_p, c_void_p, c_double, c_int, c_size_t = map(_simple, "czPdiL")
    c_uint8, c_int16, c_uint16, c_uint32, c_int64, c_uint64 = map(_simple, "BhHIqQ")

__all__ = (
    "Library", "Structure", "byref", "c_char", "c_char_p", "c_double", "c_int", "c_int16", "c_int64", "c_size_t",
    "c_uint8", "c_uint16", "c_uint32", "c_uint64", "c_void_p",
)  # fmt: skip


class Function(CFuncPtr):
    """Returns an int, if nothing else is said of it."""

    _flags_ = FUNCFLAG_CDECL
    _restype_ = c_int


class Library:
    """Its functions are attributes, as those of ctypes.CDLL. Raises OSError where it is not there."""

    def __init__(self, name: str) -> None:
        self._handle = dlopen(name, 0)

    def __getattr__(self, name: str) -> Any:
        where: Any = name, self  # mypy knows ctypes.CDLL alone
        found = Function(where)
        setattr(self, name, found)
        return found
