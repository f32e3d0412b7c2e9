# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of tests/defences is of this tree: what it would take away is there, and so are the tests named."""

from __future__ import annotations

import shlex
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from defences.program import ALL, is_missed
from defences.table import DEFENCES, Defence

ROOT = Path(__file__).parents[2]


def files(place: Path) -> list[Path]:
    return [place] if place.is_file() else sorted(place.rglob("test_*.py"))


def selected(words: list[str]) -> list[str]:
    """The words of pytest's -k, each a part of the name of a test or of a parameter."""
    expressions = [after for before, after in pairwise(words) if before == "-k"]
    return [word for text in expressions for word in text.split() if word not in ("and", "or", "not")]


@pytest.mark.parametrize("defence", ALL, ids=lambda defence: defence.keeps)
def test_a_defence_is_there(defence: Defence) -> None:
    whole = (ROOT / defence.file).read_text()
    without = defence.taken_from(whole)
    assert without != whole
    compile(without, defence.file, "exec")
    words = shlex.split(defence.tests)
    for word in words:
        assert not word.startswith("tests/") or (ROOT / word).exists()
    tests = [file for word in words if word.startswith("tests/") for file in files(ROOT / word)]
    text = "".join(file.read_text() for file in tests).lower()
    for name in selected(words):
        assert name.lower() in text, "a selection of no test would try nothing"


def test_what_is_not_there_is_told() -> None:
    with pytest.raises(ValueError, match="is there 0 times"):
        DEFENCES[0].taken_from("")


def test_a_python_without_pytest_misses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with 1, as pytest does where a test has failed."""
    defence = DEFENCES[0]
    copy = tmp_path / defence.file
    copy.parent.mkdir(parents=True)
    copy.write_text((ROOT / defence.file).read_text())
    monkeypatch.setattr(sys, "executable", "/usr/bin/false")
    assert not is_missed(defence, tmp_path)
