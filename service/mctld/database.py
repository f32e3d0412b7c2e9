# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of the database: opened and brought up to date; one that is damaged is set aside, and another begun."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from . import disk, durable
from .errors import StoreFailed, StoreIsNewer

if TYPE_CHECKING:
    from collections.abc import Sequence

DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
PARTS = ("", "-wal", "-shm")  # https://sqlite.org/wal.html


class Damaged(Exception):
    """What is in the file is no database, or one that contradicts itself."""


def refuse_newer(path: str, version: int) -> None:
    """Before anything is opened for writing: what a newer version has left is not touched."""
    found = max(_version_in_file(path), _version_with_log(path))
    if found > version:
        raise StoreIsNewer(
            f"the database {path} is of version {found}, this service knows up to {version}: "
            "install the newer mctl again"
        )


def _version_in_file(path: str) -> int:
    """https://sqlite.org/fileformat.html#the_database_header; 0 where there is none."""
    try:
        with open(path, "rb") as file:
            header = file.read(100)
    except FileNotFoundError:
        return 0
    return int.from_bytes(header[60:64], "big") if header.startswith(b"SQLite format 3\0") else 0


def _version_with_log(path: str) -> int:
    """Where a log was left behind the newest header may be in that."""
    if not (os.path.exists(path) and os.path.exists(f"{path}-wal")):
        return 0
    uri = f"file:{quote(path)}?mode=ro"
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
        (found,) = database.execute("PRAGMA user_version").fetchone()
        return int(found)
    return 0


def connect(path: str, migrations: Sequence[str]) -> tuple[sqlite3.Connection, bool]:
    """And whether it is new: where the file was missing or empty there may be copies of what it has held."""
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        return database, _prepare(database, migrations)
    except sqlite3.DatabaseError as error:
        database.close()
        if is_damage(error):
            raise Damaged(str(error)) from error
        raise
    except BaseException:
        database.close()
        raise


def _prepare(database: sqlite3.Connection, migrations: Sequence[str]) -> bool:
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    (answer,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if answer != "ok":
        raise Damaged(answer)
    (found,) = database.execute("PRAGMA user_version").fetchone()
    for version, script in enumerate(migrations[found:], found + 1):
        database.executescript(f"BEGIN; {script} PRAGMA user_version = {version}; COMMIT;")
    database.execute("PRAGMA foreign_keys = ON")
    return not found


def settle(path: str) -> None:
    """On the disk: what the log has, which synchronous = NORMAL leaves to the kernel, and the names beside it."""
    durable.settle(os.path.dirname(path))
    with contextlib.suppress(FileNotFoundError):
        durable.settle(f"{path}-wal")


def is_damage(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)  # absent where Python itself has refused
    return code is not None and code & 0xFF in DAMAGED


def is_full(error: sqlite3.Error | OSError) -> bool:
    """For want of room. SQLite tells of some files only that they could not be written to."""
    if isinstance(error, OSError):
        return error.errno in disk.FULL
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def is_read_only(path: str) -> bool:
    """Whether its file system is, be it after an error of the disk; without write access no log can be read either."""
    return disk.refusal(os.path.dirname(path)) == errno.EROFS


def remove_copy(target: str) -> None:
    """With its directory, which is for nothing else."""
    shutil.rmtree(os.path.dirname(target), ignore_errors=True)


def copy(path: str, target: str) -> None:
    """With its log, in place of what lies there."""
    remove_copy(target)
    os.makedirs(os.path.dirname(target), 0o700)
    for part in ("", "-wal"):
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(path + part, target + part)


def give_back(
    database: sqlite3.Connection, source: str, path: str, migrations: Sequence[str]
) -> sqlite3.Connection:
    """What a copy says now, where it came from, in one transaction; then it goes."""
    try:
        opened, _ = connect(path, migrations)
        try:
            database.backup(opened)
        except BaseException:
            opened.close()
            raise
    except (sqlite3.Error, OSError, Damaged) as error:
        why = disk.told(error, os.path.dirname(path))
        raise StoreFailed(f"the database {path} cannot be written to again: {why}") from error
    database.close()
    remove_copy(source)
    return opened


def set_aside(path: str) -> str:
    """Its new name, with the time in it: somebody may still want to look."""
    aside = f"{path}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    for part in reversed(PARTS):  # the database last: until then the next start finds it damaged again
        with contextlib.suppress(FileNotFoundError):
            os.rename(path + part, aside + part)
    return aside
