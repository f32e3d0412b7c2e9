# SPDX-License-Identifier: GPL-3.0-or-later
"""Files in a directory that somebody else has filled: opened so that no link leads out, and read within bounds."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from typing import TYPE_CHECKING

from ..kernel import files
from . import bounds
from .refusal import Refusal, shown

if TYPE_CHECKING:
    from types import TracebackType

PIECE = 1 << 20


class Shelf:
    """Slow: for a thread. What has been read of documents counts, however many there are."""

    def __init__(self, path: str) -> None:
        self._directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._left = bounds.DOCUMENTS_BYTES

    def __enter__(self) -> Shelf:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        os.close(self._directory)

    def has(self, name: str) -> bool:
        try:
            os.close(self.open(name))
        except Refusal:
            return False
        return True

    def open(self, name: str) -> int:
        """A file. Links in it are followed as if the directory were the root of everything: docker wrote some."""
        try:
            opened = files.open_in_root(self._directory, name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno not in (
                errno.ENOENT,
                errno.ENOTDIR,
                errno.ELOOP,
                errno.ENXIO,
                errno.ENAMETOOLONG,
            ):
                raise
            raise Refusal(f"the archive lacks the file {shown(os.fsencode(name))}, which it speaks of") from error
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            os.close(opened)
            raise Refusal(f"{shown(os.fsencode(name))} in the archive is no file")
        return opened

    def read(self, name: str, most: int) -> bytes:
        """All of a document."""
        with open(self.open(name), "rb") as file:
            found = file.read(most + 1)
        if len(found) > most:
            raise Refusal(f"{shown(os.fsencode(name))} has more than {most} bytes, the most for such a document")
        self._left -= len(found)
        if self._left < 0:
            raise Refusal(f"the archive's documents have more than {bounds.DOCUMENTS_BYTES} bytes together")
        return found

    def check(self, opened: int, digest: str, size: int) -> None:
        """That a file is what its digest says, before anybody looks into it. Its position is at the beginning then."""
        there = os.fstat(opened).st_size
        if there != size:
            raise Refusal(f"the blob {digest} has {there} bytes, where {size} were promised")
        found = hashlib.sha256()
        while piece := os.read(opened, PIECE):
            found.update(piece)
        if f"sha256:{found.hexdigest()}" != digest:
            raise Refusal(f"the blob {digest} is damaged: its digest is sha256:{found.hexdigest()}")
        os.lseek(opened, 0, os.SEEK_SET)
