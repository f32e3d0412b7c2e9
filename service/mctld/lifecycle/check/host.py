# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's own files, as far as checks look at them; below another root in tests."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Host:
    root: str = ""

    def text(self, path: str) -> str | None:
        """None where it cannot be read, for whatever reason."""
        try:
            with open(f"{self.root}{path}", encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return None

    def words(self, path: str) -> frozenset[str] | None:
        text = self.text(path)
        return None if text is None else frozenset(text.split())

    def number(self, path: str) -> int | None:
        text = (self.text(path) or "").strip()
        return int(text) if text.isdecimal() else None

    def there(self, path: str) -> bool:
        return os.path.exists(f"{self.root}{path}")

    def writable(self, path: str) -> bool:
        return os.access(f"{self.root}{path}", os.W_OK)

    def names(self, path: str) -> tuple[str, ...]:
        try:
            return tuple(sorted(os.listdir(f"{self.root}{path}")))
        except OSError:
            return ()

    def room(self, path: str) -> Room | None:
        """Of the file system that `path` is on."""
        try:
            found = os.statvfs(f"{self.root}{path}")
        except OSError:
            return None
        return Room(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize, found.f_favail, found.f_files)


@dataclass(frozen=True, slots=True)
class Room:
    """What a file system has left, in bytes and in files; `files` is 0 where it does not count them."""

    free: int
    size: int
    files_free: int = 0
    files: int = 0

    def __str__(self) -> str:
        return f"{size(self.free)} free of {size(self.size)}"


def size(number: int) -> str:
    value, unit = float(number), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.1f} {unit}" if unit != "B" else f"{number} B"
