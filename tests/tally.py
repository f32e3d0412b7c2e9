# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums the JUnit reports of tests/run: a line a stage, then the total; exits 1 on any failure or on nothing run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree


class Tally(NamedTuple):
    passed: int
    failed: int
    skipped: int

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def read(report: Path) -> Tally:
    """A missing report is a stage in which nothing was selected."""
    if not report.exists():
        return Tally(0, 0, 0)
    suites = [suite for suite in ElementTree.parse(report).iter("testsuite") if suite.get("tests")]
    failed = sum(int(suite.get(kind, "0")) for suite in suites for kind in ("failures", "errors"))
    skipped = sum(int(suite.get("skipped", "0")) for suite in suites)
    return Tally(sum(int(suite.get("tests", "0")) for suite in suites) - failed - skipped, failed, skipped)


def main(directory: str, *stages: str) -> int:
    total = Tally(0, 0, 0)
    for stage in stages:
        name, seconds = stage.split()
        tally = read(Path(directory, f"{name}.xml"))
        total = Tally(*(mine + more for mine, more in zip(total, tally, strict=True)))
        print(f"{name}: {tally} ({seconds} s)")
    print(total)
    if total.passed + total.failed == 0:
        print("nothing was run", file=sys.stderr)
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
