# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive unpacked without confinement: what the code alone withstands, no wall helps it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import pytest

from mctld.images.unpacking import Unpacked, Unpacking

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Bench:
    """`outside` holds a canary and is where hostile archives want to get."""

    place: Path
    outside: Path

    @property
    def tree(self) -> Path:
        return self.place / "tree"

    def unpack(self, archive: bytes, *, end_required: bool = True) -> Unpacked:
        stream = BytesIO(archive)
        roots = [os.open(self.place / name, os.O_RDONLY | os.O_DIRECTORY) for name in ("tree", "replaced")]
        before = os.umask(0)
        try:
            with open(self.place / "skeleton", "wb") as skeleton:
                return Unpacking(stream.read, roots[0], roots[1], skeleton.write, end_required=end_required).run()
        finally:
            os.umask(before)
            for root in roots:
                os.close(root)

    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self.tree)) for path in self.tree.rglob("*"))


def snapshot(directory: Path) -> dict[str, tuple[int, int, int, bytes]]:
    found = {}
    for path in [directory, *sorted(directory.rglob("*"))]:
        status = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[str(path)] = (status.st_mode, status.st_uid, status.st_nlink, content)
    return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Whatever a test unpacks, what lies outside stays as it was, to the last link."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "canary").write_text("alive")
    (outside / "canary").chmod(0o640)
    place = tmp_path / "place"
    for name in ("tree", "replaced"):
        (place / name).mkdir(parents=True)
    before = snapshot(outside)
    yield Bench(place, outside)
    assert snapshot(outside) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside", "place"]
    assert {path.name for path in place.iterdir()} <= {"tree", "replaced", "skeleton"}
