# SPDX-License-Identifier: GPL-3.0-or-later
"""What was unpacked can be put together again: the very same archive, whatever is in it."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mctld.images.assembly import Assembly
from mctld.images.refusal import Refusal
from unit.images.tars import archive, directory, header, link, member, pax, symlink

if TYPE_CHECKING:
    from pathlib import Path

    from unit.images.conftest import Bench

CASES = {
    "plain": archive(directory(b"d"), member(b"d/f", b"x" * 5000), symlink(b"l", b"d"), header(b"p", b"6")),
    "hard links": archive(member(b"a", b"1" * 700), link(b"b", b"a"), member(b"a", b"2")),
    "whiteouts": archive(member(b".wh.a"), member(b"d/.wh..wh..opq"), header(b"sda", b"4")),
    "extended": archive(pax(path=b"n" * 200, SCHILY__xattr__user__a=b"1"), member(b"x", b"y"), pax(b"g", comment=b"c")),
    "replaced files": archive(*(member(b"f", b"%d" % n * 600) for n in range(5))),
    "replaced directories": archive(
        member(b"d/a", b"1"), member(b"d/b/c", b"2" * 3000), member(b"d", b"3"), directory(b"d"), member(b"d/a", b"4"),
        member(b"d/a", b"5"), symlink(b"d", b"x"),
    ),
    "file in the place of its directory again": archive(
        member(b"d/x", b"1"), member(b"d", b"2"), member(b"dd/x", b"3"), directory(b"d"), member(b"d/x", b"4")
    ),
    "long padding": archive(member(b"a", b"1")) + bytes(200_000),
}  # fmt: skip


def assembled(bench: Bench) -> bytes:
    opened = os.open(bench.place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        made = Assembly(opened)
        data = b"".join(made)
        assert made.size() == len(data)
        return data
    finally:
        os.close(opened)


def digest(bench: Bench) -> str:
    opened = os.open(bench.place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return Assembly(opened).digest()
    finally:
        os.close(opened)


@pytest.mark.parametrize("name", CASES)
def test_the_same_again(bench: Bench, name: str) -> None:
    made = bench.unpack(gzip.compress(CASES[name]))
    assert assembled(bench) == CASES[name]
    assert digest(bench) == made.diff_id


def test_sparse_files(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("sparse")
    with open(place / "f", "wb") as file:
        file.seek(10 << 20)
        file.write(b"x" * 100_000)
        file.truncate(20 << 20)
    command = ["tar", "--create", "--sparse", "--format=posix", f"--directory={place}", "f"]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    bench.unpack(data)
    assert assembled(bench) == data


NAME = st.sampled_from([b"a", b"b", b"a/b", b"a/b/c", b"b/a", b"ab"])
MEMBER = st.one_of(
    st.builds(member, NAME, st.binary(max_size=1500)), st.builds(directory, NAME), st.builds(symlink, NAME, NAME)
)


@given(st.lists(MEMBER, min_size=1, max_size=15))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_order_of_members(bench: Bench, members: list[bytes]) -> None:
    for name in ("tree", "replaced"):
        shutil.rmtree(bench.place / name)
        (bench.place / name).mkdir()
    data = archive(*members)
    try:
        bench.unpack(data)
    except Refusal:
        return
    assert assembled(bench) == data


def damage_content(place: Path) -> None:
    (place / "tree/d/f").write_bytes(b"y" * 5000)


def cut_content(place: Path) -> None:
    (place / "tree/d/f").write_bytes(b"x")


def remove_content(place: Path) -> None:
    (place / "tree/d/f").unlink()


def lead_content_away(place: Path) -> None:
    (place / "tree/d/f").unlink()
    (place / "tree/d/f").symlink_to("/etc/passwd")


def cut_skeleton(place: Path) -> None:
    (place / "skeleton").write_bytes((place / "skeleton").read_bytes()[:-20])


def damage_skeleton(place: Path) -> None:
    (place / "skeleton").write_bytes(b"\xff" * 100)


@pytest.mark.parametrize(
    "damage", [damage_content, cut_content, remove_content, lead_content_away, cut_skeleton, damage_skeleton]
)
def test_damage_is_found(bench: Bench, damage: object) -> None:
    assert callable(damage)
    made = bench.unpack(CASES["plain"])
    damage(bench.place)
    try:
        assert digest(bench) != made.diff_id
    except (Refusal, OSError):
        return
