# SPDX-License-Identifier: GPL-3.0-or-later
"""What an interrupted transfer has fetched is kept for its user, for a time, within bounds, and proved anew."""

from __future__ import annotations

import hashlib
import os
import time
from typing import TYPE_CHECKING

import pytest

from mctld.images import blobs, bounds, skopeo
from mctld.images.blobs import BLOBS, KEPT_SECONDS, WORTH, Blobs

if TYPE_CHECKING:
    from pathlib import Path

ALICE, BOB = 1000, 1001
LARGE, OTHER, SMALL = b"l" * WORTH, b"o" * (WORTH + 1), b"s" * (WORTH - 1)


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def wanted(*contents: bytes) -> dict[str, int]:
    return {digest(content): len(content) for content in contents}


class Place:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.directory = path / "blobs"
        self.blobs = Blobs(str(self.directory))
        self._count = 0

    def layout(self, *contents: bytes, here: tuple[str, ...] = ()) -> str:
        """As a transfer that was interrupted has it."""
        self._count += 1
        made = self.path / str(self._count)
        blobs.prepare(str(made), here)
        for content in contents:
            (made / BLOBS / digest(content)[7:]).write_bytes(content)
        (made / "oci-put-blob1").write_bytes(b"half")
        return str(made)

    def kept(self) -> set[str]:
        return {f"{path.parent.name}/{path.name}" for path in self.directory.glob("*/*")}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_what_was_fetched_whole_is_the_next_transfers(place: Place) -> None:
    absent = digest(OTHER)
    place.blobs.keep(ALICE, place.layout(LARGE, SMALL, here=(absent,)))
    assert place.kept() == {f"{ALICE}/{digest(LARGE)[7:]}"}  # neither what is small nor what was never there
    assert (place.directory / str(ALICE)).stat().st_mode & 0o777 == 0o700
    again = place.layout()
    assert place.blobs.take(ALICE, wanted(LARGE, OTHER, SMALL), again) == {digest(LARGE)}
    assert (place.path / again / BLOBS / digest(LARGE)[7:]).read_bytes() == LARGE
    assert not place.directory.exists()  # it has one owner at a time
    assert place.blobs.take(ALICE, wanted(LARGE), place.layout()) == frozenset()


def test_nobody_else_is_given_it(place: Place) -> None:
    place.blobs.keep(ALICE, place.layout(LARGE))
    assert (place.blobs.has(ALICE), place.blobs.has(BOB)) == (True, False)
    assert place.blobs.take(BOB, wanted(LARGE), place.layout()) == frozenset()
    assert place.kept() == {f"{ALICE}/{digest(LARGE)[7:]}"}


@pytest.mark.parametrize("content", [b"x" * WORTH, b"", LARGE + b"x"])
def test_what_is_not_what_it_was_is_dropped(place: Place, content: bytes) -> None:
    place.blobs.keep(ALICE, place.layout(LARGE))
    (place.directory / str(ALICE) / digest(LARGE)[7:]).write_bytes(content)
    assert place.blobs.take(ALICE, wanted(LARGE), place.layout()) == frozenset()
    assert not place.directory.exists()


def test_only_files_of_the_layouts_own_are_kept(place: Place) -> None:
    layout = place.layout()
    secret = place.path / "secret"
    secret.write_bytes(LARGE)
    inside = place.path / layout / BLOBS
    (inside / ("a" * 64)).symlink_to(secret)
    os.link(secret, inside / ("b" * 64))
    os.mkfifo(inside / ("c" * 64))
    (inside / ("d" * 64)).mkdir()
    (inside / "name").write_bytes(LARGE)
    place.blobs.keep(ALICE, layout)
    assert place.kept() == set()
    for part in ("sha256", ""):
        (place.path / layout / "blobs" / part).rename(place.path / f"moved{part}")
        (place.path / layout / "blobs" / part).symlink_to(place.path)
        place.blobs.keep(ALICE, layout)
        (place.path / layout / "blobs" / part).unlink()
        (place.path / f"moved{part}").rename(place.path / layout / "blobs" / part)
    assert place.kept() == set()
    assert secret.read_bytes() == LARGE


def test_a_link_among_what_is_kept_is_not_followed(place: Place) -> None:
    place.blobs.keep(ALICE, place.layout(LARGE))
    there = place.directory / str(ALICE) / digest(LARGE)[7:]
    there.rename(place.path / "moved")
    there.symlink_to(place.path / "moved")
    layout = place.layout()
    assert place.blobs.take(ALICE, wanted(LARGE), layout) == frozenset()
    assert os.listdir(place.path / layout / BLOBS) == []


def test_bounds(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest stay."""
    contents = [bytes((number,)) * WORTH for number in range(4)]
    place.blobs.of_one = 2 * WORTH
    for number, content in enumerate(contents[:3]):
        place.blobs.keep(ALICE, place.layout(content))
        there = place.directory / str(ALICE) / digest(content)[7:]
        os.utime(there, (0, time.time() - 100 + number))
    place.blobs.expire()
    newest = {f"{ALICE}/{digest(content)[7:]}" for content in contents[1:3]}
    assert place.kept() == newest
    place.blobs.keep(BOB, place.layout(contents[3]))
    his = f"{BOB}/{digest(contents[3])[7:]}"
    assert place.kept() == {*newest, his}  # each has as much
    monkeypatch.setattr(blobs, "BYTES_OF_ALL", WORTH)
    place.blobs.expire()
    assert place.kept() == {his}


def test_a_day_later_it_is_gone(place: Place) -> None:
    place.blobs.keep(ALICE, place.layout(LARGE, OTHER))
    there = place.directory / str(ALICE) / digest(OTHER)[7:]
    os.utime(there, (0, time.time() - KEPT_SECONDS + 1000))
    left = place.blobs.expire()
    assert left is not None
    assert 0 < left <= 1000
    os.utime(there, (0, time.time() - KEPT_SECONDS))
    place.blobs.expire()
    assert place.kept() == {f"{ALICE}/{digest(LARGE)[7:]}"}
    os.utime(place.directory / str(ALICE) / digest(LARGE)[7:], (0, 0))
    assert place.blobs.expire() is None
    assert not place.directory.exists()


def test_it_gives_way(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    disposed: list[str] = []
    place.blobs.give_way(disposed.append, str(place.path))
    place.blobs.keep(ALICE, place.layout(LARGE))
    monkeypatch.setattr(bounds, "SPACE_SHARE", 1 << 40)
    monkeypatch.setattr(bounds, "SPACE_INODES", 0)
    place.blobs.give_way(disposed.append, str(place.path))
    assert (place.kept(), disposed) == ({f"{ALICE}/{digest(LARGE)[7:]}"}, [])
    monkeypatch.setattr(bounds, "SPACE_SHARE", 1)
    monkeypatch.setattr(bounds, "SPACE_BYTES", 1 << 60)
    place.blobs.give_way(disposed.append, str(place.path))
    (gone,) = disposed
    assert (place.directory.exists(), os.path.isdir(gone)) == (False, True)


def test_it_is_told_and_given_up(place: Place) -> None:
    disposed: list[str] = []
    assert (place.blobs.sizes(), place.blobs.give_up(None, disposed.append, str(place.path))) == ({}, 0)
    place.blobs.keep(ALICE, place.layout(LARGE, OTHER))
    place.blobs.keep(BOB, place.layout(LARGE))
    assert place.blobs.sizes() == {ALICE: len(LARGE) + len(OTHER), BOB: len(LARGE)}
    assert place.blobs.give_up(ALICE, disposed.append, str(place.path)) == len(LARGE) + len(OTHER)
    assert place.kept() == {f"{BOB}/{digest(LARGE)[7:]}"}
    (gone,) = disposed
    assert len(os.listdir(gone)) == 2
    assert place.blobs.give_up(None, disposed.append, str(place.path)) == len(LARGE)
    assert (len(disposed), place.directory.exists()) == (2, False)


def test_a_transfer_that_ended_with_the_service(place: Place) -> None:
    made = place.path / "making"
    (made / skopeo.STAGING).mkdir(parents=True)
    os.rename(place.layout(LARGE), made / skopeo.STAGING / skopeo.IMAGE)
    place.blobs.rescue(str(made))  # whose it was nobody has noted
    assert place.kept() == set()
    blobs.note(str(made), BOB)
    place.blobs.rescue(str(made))
    assert place.kept() == {f"{BOB}/{digest(LARGE)[7:]}"}
    place.blobs.rescue(str(place.path / "nowhere"))
