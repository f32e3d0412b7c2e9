# SPDX-License-Identifier: GPL-3.0-or-later
"""Patterns of .dockerignore and COPY may be a stranger's, and so is what a build prints of a Containerfile."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from mctl.building import build
from mctl.building.ignore import Ignored, rule
from mctl.failures import UsageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("pattern", ["[z-a]", "x/[9-0]*"])
def test_a_range_from_end_to_begin_is_told(pattern: str) -> None:
    with pytest.raises(UsageError, match="makes no sense: bad character range"):
        Ignored(f"# a comment\n{pattern}\n")
    with pytest.raises(UsageError, match="makes no sense"):
        rule(pattern)


def test_no_control_character_of_a_containerfile_reaches_the_terminal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    errors = os.open(tmp_path / "errors", os.O_WRONLY | os.O_CREAT)
    monkeypatch.setattr(build, "ERRORS", errors)
    nothing: Any = SimpleNamespace()
    steps = build.Build(nothing, nothing, {}, nothing, nothing, cached=False, quiet=False, private=False)
    steps._tell('LABEL x="\x1b]0;title\x07\x9b2J"')
    os.close(errors)
    assert (tmp_path / "errors").read_text() == 'STEP 1/0: LABEL x="\\e]0;title\\x07\\x9b2J"\n'
