# SPDX-License-Identifier: GPL-3.0-or-later
"""Ranges of ids: whatever happens, no two that are held overlap, nor one of the pool with what others were given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mctld.errors import InvalidArgs, LimitsExceeded
from mctld.ids import Ids
from mctld.runtime import users

if TYPE_CHECKING:
    from pathlib import Path

FIRST, SIZE, COUNT = 1000, 100, 5


def test_a_freed_one_is_not_the_next() -> None:
    ids = Ids(FIRST, SIZE, COUNT)
    assert ids.choose() == ids.choose() - SIZE  # not remembered, and yet not given again at once
    ids.remember(1200)
    ids.forget(1200)
    assert ids.choose() == 1200
    assert [ids.choose() for _ in range(3)] == [1300, 1400, 1000]


def test_all_are_given_once_and_then_none() -> None:
    ids = Ids(FIRST, SIZE, COUNT)
    for _ in range(COUNT):
        ids.remember(ids.choose())
    with pytest.raises(LimitsExceeded, match="all 5 ranges of user ids are in use"):
        ids.choose()
    ids.forget(1300)
    assert ids.choose() == 1300


@pytest.mark.parametrize(
    ("foreign", "left"),
    [
        ([(1000, 1001)], [1100, 1200, 1300, 1400]),
        ([(1199, 1200)], [1000, 1200, 1300, 1400]),
        ([(1100, 1300)], [1000, 1300, 1400]),
        ([(0, 1000), (1500, 9999)], [1000, 1100, 1200, 1300, 1400]),
        ([(0, 4_000_000_000)], []),
    ],
)
def test_what_others_were_given_is_left_alone(foreign: list[tuple[int, int]], left: list[int]) -> None:
    ids = Ids(FIRST, SIZE, COUNT, lambda: foreign)
    found = []
    while True:
        try:
            found.append(ids.choose())
        except LimitsExceeded:
            break
        ids.remember(found[-1])
    assert sorted(found) == left


@pytest.mark.parametrize("start", [1100, 1150, 1050, 1001, 1199, 901])
def test_asked_for_and_taken(start: int) -> None:
    ids = Ids(FIRST, SIZE, COUNT)
    for used in (1000, 1100):
        ids.remember(used)
    with pytest.raises(InvalidArgs, match=f"UserNamespace {start}: some of the 100 ids"):
        ids.check(start)


def test_asked_for_keeps_the_pool_away() -> None:
    ids = Ids(FIRST, SIZE, COUNT)
    ids.remember(ids.check(1150))  # in the middle of two of the pool
    ids.remember(ids.check(50))
    found = {ids.choose() for _ in range(10)}
    assert found == {1000, 1300, 1400}
    with pytest.raises(InvalidArgs, match="another container's"):
        ids.check(149)
    ids.forget(1150)
    assert 1100 in {ids.choose() for _ in range(5)}


@given(st.lists(st.tuples(st.sampled_from(["choose", "check", "forget"]), st.integers(850, 1650)), max_size=40))
def test_held_ranges_never_overlap(acts: list[tuple[str, int]]) -> None:
    ids = Ids(FIRST, SIZE, COUNT, lambda: [(1420, 1430)])
    held: list[int] = []
    for act, number in acts:
        try:
            if act == "forget":
                if held:
                    ids.forget(held.pop(number % len(held)))
                continue
            start = ids.choose() if act == "choose" else ids.check(number)
        except (InvalidArgs, LimitsExceeded):
            continue
        assert all(abs(start - other) >= SIZE for other in held)
        if act == "choose":
            assert start + SIZE <= 1420 or start >= 1430
        ids.remember(start)
        held.append(start)


def test_subordinate_ids(tmp_path: Path) -> None:
    file = tmp_path / "subuid"
    wrong = ["bad", "a:b:c", "a:1", "a:-1:5", "a:1:5:9", "a:²:5", "a:1:99999999999"]
    file.write_text("\n".join(["alice:100000:65536", *wrong, "1000: 7:1", "bob:0:1"]))
    assert users.subordinate([str(tmp_path / "none"), str(file)]) == [(100_000, 165_536), (0, 1)]


def test_maps() -> None:
    assert users.whole(1 << 20) == users.IdMap("0 1048576 65536", "0 1048576 65536")
    assert users.only(1000, 50, 1 << 20) == users.IdMap("1000 1048576 1", "50 1048576 1")
    assert users.FIRST + users.RANGE * users.RANGES <= 1_879_048_192  # systemd's UIDS-GIDS: what containers may have
