# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums the JUnit reports of tests/run: a line a stage, what is red, the total; exits 1 on any failure or none run.

What was red and is green at the second look is neither: it is named as unsteady, and more of those than a few fail too.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

AGAIN = "-again"


class Tally(NamedTuple):
    passed: int
    failed: int
    skipped: int
    unsteady: tuple[str, ...] = ()
    red: tuple[str, ...] = ()

    def plus(self, other: Tally) -> Tally:
        return Tally(
            self.passed + other.passed,
            self.failed + other.failed,
            self.skipped + other.skipped,
            self.unsteady + other.unsteady,
            self.red + other.red,
        )

    def __str__(self) -> str:
        unsteady = f", {len(self.unsteady)} unsteady" if self.unsteady else ""
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped{unsteady}"


class Report:
    """One of pytest, or of a check that has no cases of its own."""

    def __init__(self, path: Path) -> None:
        root = ElementTree.parse(path)
        self._suites = [suite for suite in root.iter("testsuite") if suite.get("tests")]
        self._cases = list(root.iter("testcase"))

    def count(self, *kinds: str) -> int:
        return sum(int(suite.get(kind, "0")) for suite in self._suites for kind in kinds)

    def named(self, *, red: bool) -> set[str]:
        """A test that has failed and then left something behind is there twice."""
        both = {_name(case) for case in self._cases}
        failed = {_name(case) for case in self._cases if {part.tag for part in case} & {"failure", "error"}}
        return failed if red else both - failed


def read(report: Path) -> Tally:
    """A missing report is a stage in which nothing was selected."""
    if not report.exists():
        return Tally(0, 0, 0)
    first = Report(report)
    failed, skipped = first.count("failures", "errors"), first.count("skipped")
    passed = first.count("tests") - failed - skipped
    again = report.with_stem(report.stem + AGAIN)
    red = first.named(red=True)
    if not again.exists() or not red or red - Report(again).named(red=False):
        return Tally(passed, failed, skipped, red=tuple(sorted(red)))
    return Tally(passed, 0, skipped, tuple(sorted(red)))


def main(directory: str, unsteady_max: str, *stages: str) -> int:
    total = Tally(0, 0, 0)
    for stage in stages:
        name, seconds = stage.split()
        tally = read(Path(directory, f"{name}.xml"))
        total = total.plus(tally)
        print(f"{name}: {tally} ({seconds} s)")
    for name in total.red:
        print(f"red: {name}")
    print(total)
    for name in total.unsteady:
        print(f"unsteady, red once: {name}")
    if total.passed + total.failed == 0:
        print("nothing was run", file=sys.stderr)
    return 1 if total.failed or not total.passed or len(total.unsteady) > int(unsteady_max) else 0


def _name(case: ElementTree.Element) -> str:
    return f"{case.get('classname')}::{case.get('name')}"


if __name__ == "__main__":
    if sys.argv[1] == "--red":
        print(len(Report(Path(sys.argv[2])).named(red=True)))
        sys.exit()
    sys.exit(main(*sys.argv[1:]))
