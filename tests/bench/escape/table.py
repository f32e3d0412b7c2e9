# SPDX-License-Identifier: GPL-3.0-or-later
"""The comparison as text: what is open somewhere, then the sums."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bench.escape import verdict
from bench.escape.filters import NUMBERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NAME, COLUMN = 42, 22
NOTES = (
    "held: refused before the kernel's code for it ran, or not there. reached: it ran and refused its arguments.",
    "open: it worked. A call whose arguments cannot tell a filter from a missing capability counts as held in all.",
)


def lines(report: Mapping[str, Any], *, everything: bool) -> Iterator[str]:
    engines = [name for name in report if "outcomes" in report[name]]
    for name in report:
        how = report[name].get("version") or f"not probed: {report[name]['reason']}"
        yield f"{name:{COLUMN}}{how}  {report[name].get('how', '')}".rstrip()
    yield ""
    yield f"{'':{NAME}}" + "".join(f"{name:<{COLUMN}}" for name in engines)
    for probe in verdict.COMPARED:
        outcomes = [report[name]["outcomes"].get(probe, "-") for name in engines]
        verdicts = {verdict.judge(probe, outcome) for outcome in outcomes}
        if everything or verdicts != {verdict.HELD}:
            yield f"{probe:{NAME}}" + "".join(f"{_cell(probe, outcome):<{COLUMN}}" for outcome in outcomes).rstrip()
    yield ""
    for title, cells in _sums(report, engines).items():
        yield f"{title:{NAME}}" + "".join(f"{cell!s:<{COLUMN}}" for cell in cells).rstrip()
    yield ""
    yield from NOTES


def _cell(probe: str, outcome: Any) -> str:
    judged = verdict.judge(probe, outcome)
    text = outcome if isinstance(outcome, str) else json.dumps(outcome)
    short = text if len(text) <= 14 else text[:13] + "…"
    return short if judged == verdict.HELD else f"{judged.upper()} {short}"


def _sums(report: Mapping[str, Any], engines: list[str]) -> dict[str, list[Any]]:
    rows: dict[str, list[Any]] = {}
    for word in (verdict.OPEN, verdict.REACHED, verdict.HELD):
        title = f"{word}, of {len(verdict.COMPARED)}"
        rows[title] = [
            sum(verdict.judge(p, report[name]["outcomes"].get(p, "-")) == word for p in verdict.COMPARED)
            for name in engines
        ]
    all_outcomes = [report[name]["outcomes"] for name in engines]
    rows["capabilities of the first process"] = [verdict.capabilities(outcomes) for outcomes in all_outcomes]
    rows[f"system calls let through, of {len(NUMBERS)}"] = [report[name]["calls"] for name in engines]
    hidden = [verdict.hidden(outcomes) for outcomes in all_outcomes]
    rows["telling paths hidden, of those there"] = [f"{count} of {there}" for count, there in hidden]
    return rows
