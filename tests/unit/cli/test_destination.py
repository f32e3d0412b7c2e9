# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives for standard output."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO, NoReturn

import pytest

from mctl import destination
from mctl.destination import put_archive, unread
from mctl.failures import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def refuse(output: int) -> NoReturn:
    raise Failure(f"could not write to {output}", status=1)


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[BinaryIO]:
    """Who reads standard output."""
    reading, writing = os.pipe()
    monkeypatch.setattr(destination, "STDOUT", writing)
    reader = os.fdopen(reading, "rb")
    with reader, os.fdopen(writing, "wb"):
        yield reader


def test_where_nobody_reads_nothing_has_failed(pipe: BinaryIO) -> None:
    pipe.close()
    with pytest.raises(BrokenPipeError):
        put_archive(None, refuse)


def test_where_somebody_reads_a_failure_is_told(pipe: BinaryIO) -> None:
    with pytest.raises(Failure, match="could not write"):
        put_archive("-", refuse)


def test_a_file_has_no_reader_to_lose(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    assert not unread(descriptor)
    os.close(descriptor)
