# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths that cannot be led astray, openat2(2); and what a descriptor lies on, statfs(2)."""

from __future__ import annotations

import ctypes
import os
import sys

from .constants import RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS
from .libc import Bytes, Int, Path, Pointer, Size, call, function

_openat2 = call(437, "openat2", Int, Path, Bytes, Size)
_fstatfs = function("fstatfs", Int, Pointer)

_STATFS_ROOM = 256  # struct statfs has 120 bytes or fewer
_syncfs = function("syncfs", Int)


def openat2(directory: int, path: str | bytes, flags: int, resolve: int) -> int:
    """A close-on-exec descriptor of `path` as seen from the open `directory`, under RESOLVE_* limits."""
    how = b"".join(n.to_bytes(8, "little") for n in (flags | os.O_CLOEXEC, 0, resolve))
    return _openat2(directory, path, how, len(how))


def open_in_root(root: int, path: str, flags: int) -> int:
    """Open `path` as if `root` were /: neither .. nor a symlink leads out, no magic link is followed."""
    return openat2(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)


def open_plain(root: int, path: str, flags: int) -> int:
    """Like open_in_root, but any symlink on the way is ELOOP."""
    return openat2(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS)


def filesystem_type(descriptor: int) -> int:
    """A *_MAGIC of linux/magic.h; also of what is open with O_PATH."""
    found = ctypes.create_string_buffer(_STATFS_ROOM)
    _fstatfs(descriptor, ctypes.addressof(found))
    return int.from_bytes(found.raw[:4], sys.byteorder)  # a long, the low half first; 32 bits where the high would be


def open_beneath(root: int, path: str | bytes, flags: int) -> int:
    """Below `root`, or an error: .. above it is EXDEV, an absolute path too, any symlink ELOOP."""
    return openat2(root, path, flags, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)


def sync_filesystem(descriptor: int) -> None:
    """Returns when all that has been written to the file system of `descriptor` is on the disk, syncfs(2).

    What has failed is an error here only if it failed since `descriptor` was opened, or nobody's call has told of it
    yet: so it is opened before anything is written. O_PATH is not enough.
    """
    _syncfs(descriptor)
