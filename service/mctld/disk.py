# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a file system takes nothing more, and what a person can do about that."""

from __future__ import annotations

import errno
import os
import sqlite3

FULL = (errno.ENOSPC, errno.EDQUOT)
OF_A_DISK = (*FULL, errno.EROFS, errno.EIO)
_VAGUE = (  # SQLite has a code for a full disk, but does not always use it
    sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CORRUPT,
)  # fmt: skip


def told(error: Exception, directory: str) -> str:
    """What has gone wrong below `directory`: the error's own words, or those of its file system."""
    match _number(error, directory):
        case errno.ENOSPC if _is_out_of_inodes(directory):
            return f"{directory} is on a file system that can hold no more files: remove some there (df -i)"
        case errno.ENOSPC:
            return f"{directory} is on a full file system: make room there"
        case errno.EDQUOT:
            return f"{directory} is on a file system with a quota, which is used up: make room there, or raise it"
        case errno.EROFS:
            return f"{directory} is on a read-only file system: make it writable"
        case errno.EIO:
            return f"{directory} is on a file system that fails (Input/output error): journalctl -k tells of its disk"
    return getattr(error, "strerror", None) or str(error)


def told_of_file(error: OSError) -> str:
    """As told(), where the error names a file; a kernel's other objects are not on a disk that could be full."""
    if isinstance(error.filename, str) and os.path.isabs(error.filename):
        return told(error, os.path.dirname(error.filename))
    return error.strerror or str(error)


def refusal(directory: str) -> int:
    """The number of the error with which the file system refuses changes, 0 if it takes them.

    Tried, since statvfs(3) does not tell of those that refuse after an error: ST_RDONLY is not set then (Linux 6.15).
    """
    try:
        os.utime(directory)
        found = os.statvfs(directory)
    except OSError as error:
        return error.errno or 0
    return errno.ENOSPC if not found.f_bavail or _is_out_of_inodes(directory) else 0


def _number(error: Exception, directory: str) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return errno.ENOSPC
    return refusal(directory) if code in _VAGUE else None


def _is_out_of_inodes(directory: str) -> bool:
    """Some file systems have no table of them: 0 of 0."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return False
    return bool(found.f_files) and not found.f_favail
