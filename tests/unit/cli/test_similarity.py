# SPDX-License-Identifier: GPL-3.0-or-later
"""What was meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mctl.creation import OPTIONS
from mctl.parser import VERBS
from mctl.similarity import closest, mistakes

FLAGS = [name for option in OPTIONS for name in option.names]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("strat", "start"),
        ("satrt", "start"),
        ("stat", "stats"),
        ("pss", "ps"),
        ("imgaes", "images"),
        ("psu", "ps"),
        ("unpuase", "unpause"),
        ("hist", "history"),
        ("x", ""),
        ("dokcer", ""),
        ("quantum", ""),
        ("s" * 100_000, ""),
    ],
)
def test_verbs(typed: str, meant: str) -> None:
    assert closest(typed, list(VERBS)) == meant


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--mem", "--memory"),
        ("--nmae", "--name"),
        ("--publihs", "--publish"),
        ("--nosuch", ""),
        ("--format", ""),
        ("-z", ""),
    ],
)
def test_options(typed: str, meant: str) -> None:
    assert closest(typed, FLAGS) == meant


def test_the_beginning_of_a_long_name() -> None:
    assert closest("web-fro", ["db", "web-frontend-production"]) == "web-frontend-production"


@pytest.mark.parametrize(
    ("typed", "meant", "count"),
    [("", "ab", 2), ("ab", "ab", 0), ("ab", "ba", 1), ("abc", "ac", 1), ("ac", "abc", 1), ("abc", "axc", 1)],
)
def test_mistakes(typed: str, meant: str, count: int) -> None:
    assert mistakes(typed, meant) == count


@given(st.text(max_size=12), st.text(max_size=12))
def test_mistakes_are_the_same_both_ways(one: str, other: str) -> None:
    found = mistakes(one, other)
    assert found == mistakes(other, one)
    assert abs(len(one) - len(other)) <= found <= max(len(one), len(other))
