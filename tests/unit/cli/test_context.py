# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory of a build may be another user's, who changes it while it is read; so may the place of an archive."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from mctl.building.context import of_directory
from mctl.destination import put_archive
from mctl.failures import UsageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "context" / "inner").mkdir(parents=True)
    (tmp_path / "context" / "inner" / "file").write_text("theirs")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "file").write_text("ours")
    return tmp_path / "context"


def test_it_is_read_as_it_was_found(context: Path) -> None:
    assert of_directory(str(context)).text("inner/file", 100) == "theirs"


def test_a_link_in_the_place_of_a_file_leads_nowhere(context: Path) -> None:
    found = of_directory(str(context))
    (context / "inner" / "file").unlink()
    (context / "inner" / "file").symlink_to(context.parent / "secret" / "file")
    with pytest.raises(OSError, match="symbolic"):
        found.text("inner/file", 100)


def test_nor_does_one_in_the_place_of_a_directory(context: Path) -> None:
    found = of_directory(str(context))
    (context / "inner").rename(context.parent / "moved")
    (context / "inner").symlink_to(context.parent / "secret")
    with pytest.raises(OSError, match="Not a directory"):
        found.text("inner/file", 100)


@pytest.mark.parametrize("kind", ["file", "fifo"])
def test_another_file_is_not_read(context: Path, kind: str) -> None:
    found = of_directory(str(context))
    (context / "inner" / "file").rename(context / "kept")
    if kind == "fifo":
        os.mkfifo(context / "inner" / "file")
    else:
        (context / "inner" / "file").write_text("another")
    with pytest.raises(UsageError, match="another file now"):
        found.text("inner/file", 100)


def test_an_archive_is_not_written_through_somebodys_link(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("ours")
    (tmp_path / "out.tar.part").symlink_to(tmp_path / "precious")
    put_archive(str(tmp_path / "out.tar"), lambda output: os.write(output, b"archive"))
    assert (tmp_path / "precious").read_text() == "ours"
    assert (tmp_path / "out.tar").read_bytes() == b"archive"
    assert sorted(os.listdir(tmp_path)) == ["out.tar", "out.tar.part", "precious"]
