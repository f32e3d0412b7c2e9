# SPDX-License-Identifier: GPL-3.0-or-later
"""What was measured: values per engine, or the reason why there are none."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from typing import Any

OURS = "mctl"


@dataclass(frozen=True)
class Cell:
    """One engine's figures in one row; reason is set where there are none."""

    values: tuple[float, ...] = ()
    note: str = ""
    reason: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)


@dataclass(frozen=True)
class Row:
    """One measurement of all engines. An engine that has no such thing has no cell."""

    measure: str
    title: str
    unit: str
    cells: dict[str, Cell]
    more_is_better: bool = False
    load: str = ""  # who else used the processors meanwhile

    def best(self, cell: Cell) -> float:
        return max(cell.values) if self.more_is_better else min(cell.values)

    def worst(self, cell: Cell) -> float:
        return min(cell.values) if self.more_is_better else max(cell.values)

    def ratio(self, cell: Cell) -> float | None:
        """Of the medians, to ours; None where there is nothing to divide."""
        ours = self.cells.get(OURS)
        if not cell.values or not ours or not ours.values or not ours.median:
            return None
        return cell.median / ours.median

    def ratio_of_bests(self, cell: Cell) -> float | None:
        """The same of the best values: what a busy host disturbs least."""
        ours = self.cells.get(OURS)
        if not cell.values or not ours or not ours.values or not self.best(ours):
            return None
        return self.best(cell) / self.best(ours)


@dataclass(frozen=True)
class Report:
    """One run: rows, the engines' versions and ways, what the machine was like."""

    machine: dict[str, str]
    engines: dict[str, dict[str, str]]  # version and how, or reason
    rows: tuple[Row, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        report = asdict(self)
        for row, plain in zip(self.rows, report["rows"], strict=True):
            for name, cell in row.cells.items():
                if cell.values:
                    plain["cells"][name] |= {"median": cell.median, "best": row.best(cell), "ratio": row.ratio(cell),
                                             "ratio_of_bests": row.ratio_of_bests(cell)}  # fmt: skip
        return report

    @staticmethod
    def from_json(report: dict[str, Any]) -> Report:
        rows = tuple(Row(**{**row, "cells": _cells(row["cells"])}) for row in report["rows"])
        return Report(report["machine"], report["engines"], rows)


def _cells(plain: dict[str, dict[str, Any]]) -> dict[str, Cell]:
    return {name: Cell(tuple(cell["values"]), cell["note"], cell["reason"]) for name, cell in plain.items()}
