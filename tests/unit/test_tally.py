# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests/run makes of its reports: red stays red, unless a second look finds it green, and then it is named."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tally import main

if TYPE_CHECKING:
    from pathlib import Path

SHAKEN = """
import pathlib

def test_green(): ...

def test_shaken():
    seen = pathlib.Path(__file__).with_name("seen")
    before = seen.exists()
    seen.touch()
    assert before
"""
CASE = "<testcase classname='test_it' name='{}'>{}</testcase>"


def report(path: Path, **cases: str) -> None:
    """cases: what is the matter with each: "", "failure", "error" or "failure error"."""
    bad = " ".join(cases.values()).split()
    kinds = [(name, kind) for name, all_ in cases.items() for kind in all_.split() or [""]]
    inside = [CASE.format(name, f"<{kind}/>" if kind else "") for name, kind in kinds]
    path.write_text(
        f"<testsuites><testsuite tests='{len(inside)}' failures='{bad.count('failure')}' errors='{bad.count('error')}'"
        f" skipped='0'>{''.join(inside)}</testsuite></testsuites>"
    )


@pytest.mark.parametrize(("first", "again", "status", "last"), [
    ({"a": "", "b": ""}, None, 0, "2 passed, 0 failed, 0 skipped"),
    ({"a": "", "b": "failure"}, None, 1, "1 passed, 1 failed, 0 skipped"),
    ({"a": "", "b": "failure"}, {"b": "failure"}, 1, "1 passed, 1 failed, 0 skipped"),
    ({"a": "", "b": "failure"}, {}, 1, "1 passed, 1 failed, 0 skipped"),
    ({"a": "", "b": "failure error"}, {"b": "error"}, 1, "1 passed, 2 failed, 0 skipped"),
    ({"a": "", "b": "failure"}, {"b": ""}, 0, "unsteady, red once: test_it::b"),
    ({"a": "", "b": "failure error"}, {"b": ""}, 0, "unsteady, red once: test_it::b"),
    ({"a": "failure", "b": "failure"}, {"a": "", "b": "failure"}, 1, "0 passed, 2 failed, 0 skipped"),
    ({"a": "error", "b": "error", "c": ""}, {"a": "", "b": ""}, 1, "unsteady, red once: test_it::b"),  # one too many
])  # fmt: skip
def test_a_verdict(
    tmp_path: Path, first: dict[str, str], again: dict[str, str] | None, status: int, last: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    report(tmp_path / "one.xml", **first)
    if again is not None:
        report(tmp_path / "one-again.xml", **again)
    assert main(str(tmp_path), "1", "one 7", "two 1") == status
    assert capsys.readouterr().out.splitlines()[-1] == last


def test_two_looks_of_pytest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The options are those of tests/run."""
    (tmp_path / "test_it.py").write_text(SHAKEN)
    look = [sys.executable, "-m", "pytest", "-q", "-o", f"cache_dir={tmp_path}/cache", f"--rootdir={tmp_path}",
            str(tmp_path), f"--junitxml={tmp_path}/one.xml"]  # fmt: skip
    again = ["--last-failed", "--last-failed-no-failures=none", f"--junitxml={tmp_path}/one-again.xml"]
    assert subprocess.run(look, capture_output=True, check=False).returncode == 1
    assert main(str(tmp_path), "3", "one 7") == 1
    assert subprocess.run([*look, *again], capture_output=True, check=False).returncode == 0
    capsys.readouterr()
    assert main(str(tmp_path), "3", "one 7") == 0
    assert capsys.readouterr().out == (
        "one: 1 passed, 0 failed, 0 skipped, 1 unsteady (7 s)\n"
        "1 passed, 0 failed, 0 skipped, 1 unsteady\n"
        "unsteady, red once: test_it::test_shaken\n"
    )


def test_nothing_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(str(tmp_path), "3", "one 1") == 1
    assert capsys.readouterr().err == "nothing was run\n"
