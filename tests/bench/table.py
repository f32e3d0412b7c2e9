# SPDX-License-Identifier: GPL-3.0-or-later
"""The report for people: one block a measurement, one line an engine, ours first."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.figures import Cell, Report, Row

OURS = "mctl"
NAME = 24


def lines(report: Report) -> Iterator[str]:
    for key, value in report.machine.items():
        yield f"{key:{NAME}}{value}"
    yield ""
    for name, engine in report.engines.items():
        yield f"{name:{NAME}}{engine.get('version', 'not measured: ' + engine.get('reason', ''))}"
        if engine.get("how"):
            yield f"{'':{NAME}}{engine['how']}"
    for row in report.rows:
        yield from _block(row)


def _block(row: Row) -> Iterator[str]:
    yield ""
    yield f"{row.title} ({row.unit}, {'more' if row.more_is_better else 'less'} is better)"
    yield f"  {'':{NAME}}{'median':>10}{'best':>10}{'worst':>10}{'runs':>6}  ratio to ours"
    ours = row.cells.get(OURS)
    for name, cell in row.cells.items():
        yield f"  {name:{NAME}}{_figures(row, cell, ours)}".rstrip()
    if row.load:
        yield f"  meanwhile: {row.load}"


def _figures(row: Row, cell: Cell, ours: Cell | None) -> str:
    if not cell.values:
        return f"no figure: {cell.reason}"
    best, worst = row.best(cell), (min if row.more_is_better else max)(cell.values)
    text = f"{_number(cell.median)}{_number(best)}{_number(worst)}{len(cell.values):6d}  {_ratio(cell, ours):>6}"
    return "  ".join(part for part in (text, cell.note, cell.reason) if part)


def _ratio(cell: Cell, ours: Cell | None) -> str:
    if not ours or not ours.values or not ours.median:
        return "-"
    return f"{cell.median / ours.median:.2f}"


def _number(value: float) -> str:
    return f"{value:10.1f}" if value < 1000 else f"{value:10.0f}"
