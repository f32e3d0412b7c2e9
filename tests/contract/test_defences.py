# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of tests/defences is of this tree: what it would take away is there, and so are the tests named."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from defences.program import ALL
from defences.table import DEFENCES, Defence

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("defence", ALL, ids=lambda defence: defence.keeps)
def test_a_defence_is_there(defence: Defence) -> None:
    whole = (ROOT / defence.file).read_text()
    without = defence.taken_from(whole)
    assert without != whole
    compile(without, defence.file, "exec")
    for word in shlex.split(defence.tests):
        assert not word.startswith("tests/") or (ROOT / word).exists()


def test_what_is_not_there_is_told() -> None:
    with pytest.raises(ValueError, match="is there 0 times"):
        DEFENCES[0].taken_from("")
