# SPDX-License-Identifier: GPL-3.0-or-later
"""What no loss of power takes back, fsync(2)."""

from __future__ import annotations

import os


def settle(path: str) -> None:
    """Slow: the content of a file, or the names in a directory, are on the disk."""
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
