# SPDX-License-Identifier: GPL-3.0-or-later
"""What a layer changes of those below it, path by path, as overlayfs leaves it on the disk."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from mctld.images import bounds
from mctld.images.changes import Changes
from mctld.images.merge import Layer, Merge
from mctld.images.refusal import Changing, Refusal
from unit.images.test_content import tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mctld.images.merge import Node

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="whiteouts and trusted.* take root")


@pytest.fixture
def listed(tmp_path: Path) -> Iterator[Callable[..., list[str]]]:
    """Of `upper` over `below` in tmp_path."""
    places = [tmp_path / name for name in ("upper", "below")]
    for place in places:
        place.mkdir()
    opened = [os.open(place, os.O_PATH | os.O_DIRECTORY) for place in places]

    def found(shift: int = 0, left_out: tuple[tuple[bytes, ...], ...] = ()) -> list[str]:
        upper, below = (Layer(each, shift) for each in opened)
        changes = Changes(Merge([upper], whiteouts=True), Merge([below]), left_out)
        return [f"{kind.decode()} /{b'/'.join(path).decode()}" for kind, path in changes]

    yield found
    for each in opened:
        os.close(each)


def whiteout(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o600, 0)


def opaque(path: Path) -> None:
    os.setxattr(path, "trusted.overlay.opaque", b"y")


def test_added_changed_and_deleted(tmp_path: Path, listed: Callable[..., list[str]]) -> None:
    """With the directories above what is listed, and none that only lie there."""
    tree(tmp_path / "below", etc__a="1", etc__b="2", usr__bin__x="x", var__y="y")
    upper = tree(tmp_path / "upper", etc__a="changed", new__deep__f="", new__e="", top="")
    (upper / "usr" / "bin").mkdir(parents=True)
    whiteout(upper / "etc" / "b")
    whiteout(upper / "etc" / "never-was")
    (upper / "var").mkdir(mode=0o700)
    assert listed() == [
        "C /etc", "C /etc/a", "D /etc/b", "A /new", "A /new/deep", "A /new/deep/f", "A /new/e", "A /top", "C /var",
    ]  # fmt: skip


def test_what_an_opaque_directory_hides_is_deleted(tmp_path: Path, listed: Callable[..., list[str]]) -> None:
    """Also below the directories that were made in it anew, which are not marked themselves."""
    tree(tmp_path / "below", d__gone__x="", d__kept__old="", d__kept__both="", d__z="")
    upper = tree(tmp_path / "upper", d__kept__both="", d__m="")
    opaque(upper / "d")
    assert listed() == ["C /d", "D /d/gone", "C /d/kept", "C /d/kept/both", "D /d/kept/old", "A /d/m", "D /d/z"]


def test_a_file_in_place_of_a_directory_and_a_directory_in_place_of_a_file(
    tmp_path: Path, listed: Callable[..., list[str]]
) -> None:
    tree(tmp_path / "below", was__directory="", file="")
    tree(tmp_path / "upper", was="", file__now="")
    assert listed() == ["C /file", "A /file/now", "C /was"]


def test_ids_are_compared_as_the_container_sees_them(tmp_path: Path, listed: Callable[..., list[str]]) -> None:
    for name in ("upper", "below"):
        for directory in ("same", "other"):
            (tmp_path / name / directory).mkdir()
            os.chown(tmp_path / name / directory, 100_000, 100_000)
    os.chown(tmp_path / "upper" / "other", 100_007, 100_000)
    assert listed(shift=100_000) == ["C /other"]


def test_what_only_serves_to_show_our_files_is_left_out(tmp_path: Path, listed: Callable[..., list[str]]) -> None:
    tree(tmp_path / "below", etc__hosts="image's")
    upper = tree(tmp_path / "upper", etc__hostname="", etc__resolv="mine")
    left_out = ((b"etc", b"hostname"), (b"etc", b"hosts"), (b"etc", b"resolv"))
    assert listed(left_out=left_out) == ["C /etc", "A /etc/resolv"]
    (upper / "dev").mkdir()
    places = (*left_out, (b"dev",))
    assert listed(left_out=places) == ["C /etc", "A /etc/resolv"]
    (upper / "dev" / "mine").mkdir()
    assert listed(left_out=places)[:2] == ["A /dev", "A /dev/mine"]
    (upper / "dev" / "mine").rmdir()
    (upper / "dev").rmdir()
    whiteout(upper / "etc" / "hosts")
    assert listed(left_out=left_out) == ["C /etc", "D /etc/hosts", "A /etc/resolv"]


def test_what_disappears_meanwhile_is_not_looked_into(
    tmp_path: Path, listed: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path / "upper", a__x="", b__y="")
    whole = Merge.children

    def children(self: Merge, path: tuple[bytes, ...], node: Node) -> dict[bytes, Node]:
        if path == (b"a",):
            raise Changing("it is changing while it is read")
        return whole(self, path, node)

    monkeypatch.setattr(Merge, "children", children)
    assert listed() == ["A /a", "A /b", "A /b/y"]


def test_there_is_a_most(tmp_path: Path, listed: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path / "upper", a="", b="", c="")
    monkeypatch.setattr(bounds, "ENTRIES", 3)
    with pytest.raises(Refusal, match="more than 3 files have changed at 'c'"):
        listed()
