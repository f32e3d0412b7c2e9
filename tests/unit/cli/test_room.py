# SPDX-License-Identifier: GPL-3.0-or-later
"""What a step is shown lies where everybody may write: its directories are new, nobody else's, and go again."""

from __future__ import annotations

import os
import stat
import tempfile
from typing import TYPE_CHECKING

import pytest

from mctl.building import room
from mctl.building.room import Room

if TYPE_CHECKING:
    from pathlib import Path


def test_directories_are_new_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(room, "_place_in_memory", lambda: str(tmp_path))
    own, seen = (os.geteuid(), os.getegid()), set()
    for _ in range(2):
        made = Room()
        for number in range(2):
            shown = made.secret(b"word", 0o400, own)
            path = os.readlink(f"/proc/self/fd/{shown}")
            assert os.path.basename(path) == str(number)
        (place,) = tmp_path.iterdir()
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        seen.add(place.name)
        made.clear()
        assert list(tmp_path.iterdir()) == []
    assert len(seen) == 2


def test_one_that_is_there_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(room, "_place_in_memory", lambda: str(tmp_path))
    monkeypatch.setattr(room, "token_hex", lambda _: "guessed")
    (tmp_path / "mctl-build-guessed").mkdir()
    with pytest.raises(FileExistsError):
        Room().secret(b"word", 0o444, (os.geteuid(), os.getegid()))


@pytest.mark.skipif(os.geteuid() != 0, reason="to give a directory away takes root")
def test_anothers_directory_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after sudo -E: root may write there, and whoever owns it may rename what root has made."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(room, "MAPPED_TMPFS", (0, 0))
    assert room._place_in_memory() == str(tmp_path)
    os.chown(tmp_path, 1000, 1000)
    assert room._place_in_memory() == "/dev/shm"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "gone"))
    assert room._place_in_memory() == "/dev/shm"
