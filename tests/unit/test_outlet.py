# SPDX-License-Identifier: GPL-3.0-or-later
"""A payload's FIFO: it waits for us, and we find it again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from mctld.lifecycle import outlet

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def ends(tmp_path: Path) -> tuple[int, int]:
    return outlet.make(str(tmp_path / "new"), "stdout", os.geteuid())


def test_what_is_written_while_nobody_reads_is_found(ends: tuple[int, int], tmp_path: Path) -> None:
    ours, theirs = ends
    os.close(ours)
    os.write(theirs, b"meanwhile\n")  # neither EPIPE nor SIGPIPE
    place = outlet.find(str(tmp_path / "new"), "stdout")
    assert place is not None
    again = os.open(place, os.O_RDONLY | os.O_NONBLOCK)
    assert os.read(again, 100) == b"meanwhile\n"
    os.close(theirs)
    assert os.read(again, 100) == b""
    os.close(again)


def test_it_can_be_opened_anew(ends: tuple[int, int]) -> None:
    ours, theirs = ends
    anew = os.open(f"/proc/self/fd/{theirs}", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(anew, b"anew")
    assert os.read(ours, 100) == b"anew"
    assert os.fstat(theirs).st_mode & 0o777 == 0o666
    for descriptor in (ours, theirs, anew):
        os.close(descriptor)


def test_of_an_earlier_run_nothing_is_read(ends: tuple[int, int], tmp_path: Path) -> None:
    """Its last writer may be stuck: what it says is not the new run's."""
    mine, theirs = outlet.make(str(tmp_path / "new"), "stdout", os.geteuid())
    os.write(ends[1], b"old")
    os.write(theirs, b"new")
    assert os.read(mine, 100) == b"new"
    for descriptor in (*ends, mine, theirs):
        os.close(descriptor)


def test_a_run_without_one(tmp_path: Path) -> None:
    assert outlet.find(str(tmp_path), "stdout") is None
