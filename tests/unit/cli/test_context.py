# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory of a build may be another user's, who changes it while it is read; so may the place of an archive."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mctl.building.context import of_directory
from mctl.commands.build import read
from mctl.destination import put_archive
from mctl.failures import UsageError


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


@pytest.mark.parametrize("name", ["Containerfile", ".dockerignore"])
def test_its_own_files_lead_nowhere_else(context: Path, name: str) -> None:
    (context / "inner" / "file").write_text("FROM scratch")
    (context / name).symlink_to("/inner/../inner/file")
    of_directory(str(context))
    if name == "Containerfile":
        assert read(str(context), None)[0] == read(str(context), str(context / name))[0] == "FROM scratch"
    for target in (context.parent / "secret" / "file", Path("../secret/file"), Path("/dev/zero")):
        (context / name).unlink()
        (context / name).symlink_to(target)
        of_directory(str(context))
        for file in (None, str(context / "Containerfile")):
            with pytest.raises(UsageError, match="the context has no"):
                read(str(context), file)
    os.unlink(context / name)
    os.mkfifo(context / name)
    with pytest.raises(UsageError, match="no plain file"):
        read(str(context), None)
    (context.parent / "own").write_text("FROM own")
    (context / name).unlink()
    assert read(str(context), str(context.parent / "own"))[0] == "FROM own"


def test_an_archive_is_not_written_through_somebodys_link(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("ours")
    (tmp_path / "out.tar.part").symlink_to(tmp_path / "precious")
    put_archive(str(tmp_path / "out.tar"), lambda output: os.write(output, b"archive"))
    assert (tmp_path / "precious").read_text() == "ours"
    assert (tmp_path / "out.tar").read_bytes() == b"archive"
    assert sorted(os.listdir(tmp_path)) == ["out.tar", "out.tar.part", "precious"]
