# SPDX-License-Identifier: GPL-3.0-or-later
"""Output of programs nobody trusts, made harmless for a terminal as it streams."""

from __future__ import annotations

import codecs

from .output import escapes


class Escaper:
    """Bytes in, bytes out; keeps characters that are split between two reads whole."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace")
        self._escapes = escapes(keep="\n\t")

    def feed(self, data: bytes) -> bytes:
        return self._visible(self._decoder.decode(data))

    def finish(self) -> bytes:
        return self._visible(self._decoder.decode(b"", final=True))

    def _visible(self, text: str) -> bytes:
        return text.translate(self._escapes).encode("utf-8")
