# SPDX-License-Identifier: GPL-3.0-or-later
"""The plain bytes of an archive, read piece by piece while a thread decompresses and digests the next ones."""

from __future__ import annotations

import hashlib
import queue
import threading
from typing import TYPE_CHECKING

from .refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

AHEAD = 8  # pieces


class Source:
    """Goes forward and keeps nothing. zlib, lzma, hashlib and write(2) let go of Python's lock: two processors help."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._digest = hashlib.sha256()
        self._ready: queue.Queue[bytes | BaseException | None] = queue.Queue(AHEAD)
        self._piece = b""
        self._at = 0  # in it
        self._before = 0  # bytes of earlier pieces
        self._ended = False
        threading.Thread(target=self._pump, args=(pieces,), name="decompress", daemon=True).start()

    def _pump(self, pieces: Iterable[bytes]) -> None:
        try:
            for piece in pieces:
                self._digest.update(piece)
                self._ready.put(piece)
            self._ready.put(None)
        except BaseException as error:
            self._ready.put(error)

    @property
    def position(self) -> int:
        return self._before + self._at

    @property
    def digest(self) -> str:
        """Of all plain bytes; only at their end."""
        assert self._ended
        return f"sha256:{self._digest.hexdigest()}"

    def pieces(self, size: int) -> Iterator[memoryview]:
        """The next `size` bytes as they come."""
        while size:
            if not self._fill():
                raise Refusal(f"the archive is cut off after {self.position} bytes")
            begin, self._at = self._at, min(self._at + size, len(self._piece))
            size -= self._at - begin
            yield memoryview(self._piece)[begin : self._at]

    def read(self, size: int) -> bytes:
        begin, end = self._at, self._at + size
        if end > len(self._piece):
            return b"".join(self.pieces(size))
        self._at = end
        return self._piece[begin:end]

    def some(self) -> bytes:
        """What is there without waiting for more, but something unless this is the end."""
        self._fill()
        begin, self._at = self._at, len(self._piece)
        return self._piece[begin:]

    def is_at_end(self) -> bool:
        return not self._fill()

    def _fill(self) -> bool:
        """Whether there is another byte."""
        if self._at < len(self._piece):
            return True
        if self._ended:
            return False
        found = self._ready.get()
        if isinstance(found, BaseException):
            raise found
        self._ended = found is None
        self._before += len(self._piece)
        self._piece, self._at = found or b"", 0
        return bool(found)
