# SPDX-License-Identifier: GPL-3.0-or-later
"""Room on the disk that is put aside, so that what makes room can be written down when there is none."""

from __future__ import annotations

import contextlib
import os

SIZE = 1 << 20  # some hundred pages of SQLite's log


class Reserve:
    def __init__(self, path: str) -> None:
        self._path = path
        self._there = os.path.exists(path)

    def put_aside(self) -> None:
        """If there is room for it."""
        if self._there:
            return
        with contextlib.suppress(OSError):
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(file, 0, SIZE)
                self._there = True
            finally:
                os.close(file)
                if not self._there:
                    os.unlink(self._path)

    def spend(self) -> bool:
        """Whether there is more room now."""
        if not self._there:
            return False
        self._there = False
        try:
            os.unlink(self._path)
        except OSError:
            return False
        return True
