# SPDX-License-Identifier: GPL-3.0-or-later
"""What the instructions of a stage come to, and what ADD takes for an archive."""

from __future__ import annotations

import gzip
import io
import tarfile
from typing import Any

import pytest

from mctl.building import copying
from mctl.building.containerfile import instructions
from mctl.building.context import of_archive
from mctl.building.stage import Stage
from mctl.failures import UsageError


def stage(text: str, *, layer_after: int = -1) -> Stage:
    """After these instructions; behind that one there was a RUN."""
    made = Stage(None, {}, {}, "\\")
    for number, each in enumerate(instructions(text)[0]):
        made.take(each)
        if number == layer_after:
            nothing: Any = None
            made.became(nothing)
    return made


@pytest.mark.parametrize(
    ("text", "layer_after", "command"),
    [
        ('ENTRYPOINT ["b"]', -1, []),
        ('CMD ["a"]\nENTRYPOINT ["b"]', -1, ["a"]),
        ('ENTRYPOINT ["b"]\nCMD ["a"]', -1, ["a"]),
        ('CMD ["a"]\nENTRYPOINT ["b"]', 0, ["a"]),
    ],
)
def test_an_entrypoint_does_away_with_the_command_of_the_base_and_no_other(
    text: str, layer_after: int, command: list[str]
) -> None:
    """Said together, for the service takes an entrypoint alone for the end of the command."""
    assert stage(text, layer_after=layer_after).pending["Command"] == ("as", command)


def archive(*names: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name in names:
            tar.addfile(tarfile.TarInfo(name))
    return made.getvalue()


@pytest.mark.parametrize(
    ("content", "is_one"),
    [
        (archive("a", "b"), True),
        (gzip.compress(archive("a")), True),
        (bytes(4096) + b"a file system", False),
        (gzip.compress(bytes(4096)), False),
        (archive(), False),
        (gzip.compress(archive("a"))[:40], False),
        (b"text", False),
        (b"", False),
    ],
)
def test_what_add_unpacks(content: bytes, is_one: bool) -> None:  # noqa: FBT001
    opened = io.BytesIO(content)
    assert copying._is_archive(opened) is is_one
    assert opened.read() == content


def test_an_archive_that_is_cut_off_is_told_by_its_name() -> None:
    data = gzip.compress(archive(*map(str, range(200))), 0)
    assert copying._is_archive(io.BytesIO(data[:8000]))
    with pytest.raises(UsageError, match=r"^'a\.tgz' is no tar archive, or is damaged: Compressed file ended"):
        of_archive(io.BytesIO(data[:8000]), "'a.tgz'")
