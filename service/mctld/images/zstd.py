# SPDX-License-Identifier: GPL-3.0-or-later
"""Decompression by libzstd, which is on every Debian since dpkg needs it; Python has it in its library from 3.14 on."""

from __future__ import annotations

import ctypes

from .bounds import WINDOW
from .refusal import Refusal

WINDOW_LOG_MAX = 100  # ZSTD_d_windowLogMax, zstd.h
OUTPUT = 1 << 20


class _Buffer(ctypes.Structure):
    """ZSTD_inBuffer and ZSTD_outBuffer, zstd.h"""

    _fields_ = (("at", ctypes.c_void_p), ("size", ctypes.c_size_t), ("position", ctypes.c_size_t))


class Decompressor:
    """Frames one after the other, skippable ones too."""

    def __init__(self) -> None:
        library = ctypes.CDLL("libzstd.so.1")
        self._name = library.ZSTD_getErrorName
        self._name.argtypes, self._name.restype = (ctypes.c_size_t,), ctypes.c_char_p
        self._is_error = library.ZSTD_isError
        self._is_error.argtypes, self._is_error.restype = (ctypes.c_size_t,), ctypes.c_uint
        self._decompress = library.ZSTD_decompressStream
        self._decompress.argtypes = (ctypes.c_void_p, ctypes.POINTER(_Buffer), ctypes.POINTER(_Buffer))
        self._decompress.restype = ctypes.c_size_t
        create = library.ZSTD_createDStream
        create.argtypes, create.restype = (), ctypes.c_void_p
        self._stream = create()
        if not self._stream:
            raise MemoryError("ZSTD_createDStream")
        bound = library.ZSTD_DCtx_setParameter
        bound.argtypes, bound.restype = (ctypes.c_void_p, ctypes.c_int, ctypes.c_int), ctypes.c_size_t
        self._check(bound(self._stream, WINDOW_LOG_MAX, WINDOW.bit_length() - 1))
        self._output = ctypes.create_string_buffer(OUTPUT)
        self._input = b""
        self._in = _Buffer()
        self.at_end = True  # of a frame

    def feed(self, data: bytes) -> None:
        """Only when all that was fed before has been taken."""
        self._input = data
        self._in = _Buffer(ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p), len(data), 0)

    def take(self) -> bytes:
        """The next piece; shorter than OUTPUT: there is no more in what was fed, once that is used up."""
        out, before = _Buffer(ctypes.cast(self._output, ctypes.c_void_p), OUTPUT, 0), self._in.position
        left = self._check(self._decompress(self._stream, ctypes.byref(out), ctypes.byref(self._in)))
        if out.position or self._in.position != before:  # else it is a guess at the next frame
            self.at_end = left == 0
        return ctypes.string_at(self._output, out.position)

    @property
    def is_hungry(self) -> bool:
        return bool(self._in.position == self._in.size)

    def _check(self, result: int) -> int:
        if self._is_error(result):
            raise Refusal(f"the zstd data is damaged, or needs too large a window: {self._name(result).decode()}")
        return result
