# SPDX-License-Identifier: GPL-3.0-or-later
"""The report for people: a block for each measurement, then all medians in one table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.figures import Cell, Report, Row

NAME = 24
TITLE = 56
COLUMN = 15
NOTES = (
    "Read best beside median: the more others use the processors, the less a median says.",
    "crun, runc, systemd-nspawn and systemd-run do less than an engine: no image or overlay, no user namespace, nobody",
    "who keeps status or output. The table shows the floor, not an equal.",
    "PSS divides the pages of Python among its users, this benchmark's own process among them; RSS is the upper bound.",
    "journald's burst grows with the room of its disk: what podman and docker keep differs from machine to machine.",
)


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
    yield from _summary(report)
    yield ""
    yield from NOTES


def _block(row: Row) -> Iterator[str]:
    yield ""
    yield f"{row.title} ({row.unit}, {'more' if row.more_is_better else 'less'} is better)"
    heads = ("median", "best", "worst", "runs", "ratio", "of bests")
    yield f"  {'':{NAME}}{''.join(f'{head:>10}' for head in heads)}"
    for name, cell in row.cells.items():
        yield f"  {name:{NAME}}{_figures(row, cell)}".rstrip()
    if row.load:
        yield f"  meanwhile: {row.load}"


def _figures(row: Row, cell: Cell) -> str:
    if not cell.values:
        return f"no figure: {cell.reason}"
    numbers = [_number(value) for value in (cell.median, row.best(cell), row.worst(cell))]
    numbers += [str(len(cell.values)), _times(row.ratio(cell)), _times(row.ratio_of_bests(cell))]
    text = "".join(f"{number:>10}" for number in numbers)
    return "  ".join(part for part in (text, cell.note, cell.reason) if part)


def _summary(report: Report) -> Iterator[str]:
    names = [name for name, engine in report.engines.items() if "version" in engine]
    yield ""
    yield "Medians, in brackets the ratio to ours"
    yield f"{'':{TITLE}}" + "".join(f"{name.replace('--systemd-cgroup', '--systemd'):>{COLUMN}}" for name in names)
    for row in report.rows:
        cells = (_brief(row, row.cells.get(name)) for name in names)
        yield f"{f'{row.title}, {row.unit}':{TITLE}}" + "".join(f"{text:>{COLUMN}}" for text in cells)


def _brief(row: Row, cell: Cell | None) -> str:
    if cell is None:
        return "-"
    if not cell.values:
        return "failed"
    ratio = row.ratio(cell)
    return _number(cell.median) if ratio in (None, 1) else f"{_number(cell.median)} ({_times(ratio)})"


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"


def _number(value: float) -> str:
    return f"{value:.1f}" if value < 1000 else f"{value:.0f}"
