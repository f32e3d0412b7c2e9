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
        self._piece = memoryview(b"")
        self._ended = False
        self.position = 0
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
    def digest(self) -> str:
        """Of all plain bytes; only at their end."""
        assert self._ended
        return f"sha256:{self._digest.hexdigest()}"

    def pieces(self, size: int) -> Iterator[memoryview]:
        """The next `size` bytes as they come."""
        while size:
            if not self._fill():
                raise Refusal(f"the archive is cut off after {self.position} bytes")
            piece = self._piece[:size]
            self._piece = self._piece[len(piece) :]
            self.position += len(piece)
            size -= len(piece)
            yield piece

    def read(self, size: int) -> bytes:
        if len(self._piece) >= size:
            found = bytes(self._piece[:size])
            self._piece = self._piece[size:]
            self.position += size
            return found
        return b"".join(self.pieces(size))

    def some(self) -> bytes:
        """What is there without waiting for more, but something unless this is the end."""
        self._fill()
        found, self._piece = bytes(self._piece), memoryview(b"")
        self.position += len(found)
        return found

    def is_at_end(self) -> bool:
        return not self._fill()

    def _fill(self) -> bool:
        if len(self._piece) or self._ended:
            return bool(len(self._piece))
        found = self._ready.get()
        if isinstance(found, BaseException):
            raise found
        self._ended = found is None
        self._piece = memoryview(found or b"")
        return bool(found)
