# SPDX-License-Identifier: GPL-3.0-or-later
"""What was unpacked can be put together again: the very same archive, whatever is in it."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mctld.images import bounds
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


def test_one_that_ends_with_its_last_byte(bench: Bench) -> None:
    """As umoci's insert leaves it; only where a digest has proved that nothing is missing."""
    data = archive(member(b"x", b"y" * 700))[: 512 + 700]
    for cut_off in (data[:-1], data + b"\0"):
        with pytest.raises(Refusal, match="cut off"):
            bench.unpack(cut_off, end_required=False)
        (bench.tree / "x").unlink()
    with pytest.raises(Refusal, match="cut off"):
        bench.unpack(data)
    (bench.tree / "x").unlink()
    made = bench.unpack(data, end_required=False)
    assert (bench.tree / "x").read_bytes() == b"y" * 700
    assert (assembled(bench), digest(bench)) == (data, made.diff_id)


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


def sparse(path: bytes, parts: int) -> bytes:
    """A file of as many pieces, one byte each."""
    numbers = (parts, *(number for each in range(parts) for number in (2 * each, 1)))
    table = b"".join(b"%d\n" % number for number in numbers)
    table += bytes(-len(table) % 512)
    described = {"GNU.sparse.major": b"1", "GNU.sparse.minor": b"0", "GNU.sparse.name": path}
    described["GNU.sparse.realsize"] = b"%d" % (2 * parts)
    return pax(**described) + member(b"x", table + b"a" * parts)


def test_pieces_of_files_take_no_memory(bench: Bench) -> None:
    """A small archive may have 65,536 pieces of a file, and paths of 4,095 bytes."""
    deep = b"/".join(bytes([letter]) * 200 for letter in b"abcdefghij")
    data = archive(sparse(deep + b"/f", 3000), member(b"g", b"1"), sparse(deep + b"/h", 3000), member(b"g", b"2"))
    made = bench.unpack(data)
    tracemalloc.start()
    try:
        assert digest(bench) == made.diff_id
        assert tracemalloc.get_traced_memory()[1] < 6000 * len(deep) // 2
    finally:
        tracemalloc.stop()


def test_paths_of_pieces_are_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "SEGMENT_PATHS", 300)
    with pytest.raises(Refusal, match="'ff' have too many pieces: their paths may have 300 bytes in all"):
        bench.unpack(archive(sparse(b"f", 150), sparse(b"ff", 76)))


def test_what_is_replaced_is_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "REPLACED_PATHS", 8)
    with pytest.raises(Refusal, match="replaces too much of its own up to 'four': their paths may have 8 bytes"):
        bench.unpack(archive(*[member(b"four", b"x")] * 4))


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
