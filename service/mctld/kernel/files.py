# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths that cannot be led astray: openat2(2)."""

from __future__ import annotations

import os

from .constants import RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS
from .libc import Bytes, Int, Path, Size, call

_openat2 = call(437, "openat2", Int, Path, Bytes, Size)


def openat2(directory: int, path: str, flags: int, resolve: int) -> int:
    """A close-on-exec descriptor of `path` as seen from the open `directory`, under RESOLVE_* limits."""
    how = b"".join(n.to_bytes(8, "little") for n in (flags | os.O_CLOEXEC, 0, resolve))
    return _openat2(directory, path, how, len(how))


def open_in_root(root: int, path: str, flags: int) -> int:
    """Open `path` as if `root` were /: neither .. nor a symlink leads out, no magic link is followed."""
    return openat2(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)


def open_plain(root: int, path: str, flags: int) -> int:
    """Like open_in_root, but any symlink on the way is ELOOP."""
    return openat2(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS)
