# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a file system takes nothing more, in words that say what to do."""

from __future__ import annotations

import errno
import os
import sqlite3
from typing import TYPE_CHECKING

import pytest

from mctld import disk

if TYPE_CHECKING:
    from pathlib import Path


class Statistics:
    def __init__(self, *, blocks: int, files: int, inodes: int) -> None:
        self.f_bavail, self.f_favail, self.f_files = blocks, files, inodes


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "full file system: make room there"),
        (errno.EDQUOT, "quota, which is used up: make room there, or raise it"),
        (errno.EROFS, "read-only file system: make it writable"),
        (errno.EIO, "fails (Input/output error): journalctl -k tells"),
    ],
)
def test_it_says_what_to_do(tmp_path: Path, number: int, words: str) -> None:
    error = OSError(number, os.strerror(number), f"{tmp_path}/file")
    assert words in disk.told(error, str(tmp_path))
    assert disk.told_of_file(error) == disk.told(error, str(tmp_path))


def test_no_more_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: Statistics(blocks=5, files=0, inodes=100))
    error = OSError(errno.ENOSPC, "No space left on device")
    assert "can hold no more files: remove some there (df -i)" in disk.told(error, str(tmp_path))
    assert disk.refusal(str(tmp_path)) == errno.ENOSPC


def test_a_file_system_without_a_table_of_inodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: Statistics(blocks=5, files=0, inodes=0))
    assert disk.refusal(str(tmp_path)) == 0


def test_all_else_keeps_its_words(tmp_path: Path) -> None:
    assert disk.told(OSError(errno.EACCES, "Permission denied"), str(tmp_path)) == "Permission denied"
    assert disk.told(sqlite3.OperationalError("no such table"), str(tmp_path)) == "no such table"
    assert disk.told_of_file(OSError(errno.ENOSPC, "No space left on device", "overlay")) == "No space left on device"
    assert disk.told_of_file(OSError(errno.ENOSPC, "No space left on device")) == "No space left on device"
    assert disk.refusal(str(tmp_path)) == 0
    assert disk.refusal(f"{tmp_path}/none") == errno.ENOENT


def test_what_sqlite_says_vaguely_is_asked_of_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    assert disk.told(error, str(tmp_path)) == "database disk image is malformed"
    monkeypatch.setattr(os, "utime", refuse)
    assert "fails (Input/output error)" in disk.told(error, str(tmp_path))
