# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of a transfer: a heading and a line for each layer, drawn over, and one line at the end."""

from __future__ import annotations

import os
import select
import termios
from typing import Any

import pytest

from mctl.overdrawn import Overdrawn, fitting
from mctl.transfers import layers, outcome, progress

NOTHING: dict[str, Any] = {"Bytes": 0, "Layers": [0, 0], "LayersHere": 0, "LayerProgress": []}
SOME = [
    [f"sha256:{digit * 64}", count, 3 << 20, state]
    for digit, count, state in (
        ("1", 0, "here"), ("2", 0, "waiting"), ("3", 1 << 20, "fetching"), ("4", 3 << 20, "fetched"),
        ("5", 3 << 20, "unpacking"), ("6", 3 << 20, "done"),
    )
]  # fmt: skip


def test_the_heading() -> None:
    assert progress("x", NOTHING | {"State": "fetching", "Bytes": 3 << 20}) == "x: fetching, 3.0 MiB"
    assert progress("x", NOTHING | {"State": "waiting"}) == "x: waiting"
    assert progress("x", NOTHING | {"State": "fetching", "LayersHere": 1}) == "x: fetching, 1 layer already here"
    found = progress("x", NOTHING | {"State": "fetching", "Bytes": 3 << 20, "LayersHere": 2})
    assert found == "x: fetching, 3.0 MiB, 2 layers already here"
    assert progress("x", NOTHING | {"State": "unpacking", "Layers": [2, 5]}) == "x: unpacking, 2 of 5 layers"


def test_a_line_for_each_layer() -> None:
    assert layers(NOTHING | {"LayerProgress": SOME}) == [
        "111111111111  already here",
        "222222222222  waiting    3.0 MiB",
        "333333333333  fetching   1.0 MiB of 3.0 MiB",
        "444444444444  fetched    3.0 MiB",
        "555555555555  unpacking  3.0 MiB",
        "666666666666  done       3.0 MiB",
    ]


def test_a_service_that_does_not_know_of_layers() -> None:
    """An older one, before it is started anew."""
    old = {"Bytes": 1024, "Layers": [1, 1], "LayersHere": 1, "State": "unpacking"}
    assert (layers(old), outcome(old), outcome({})) == ([], "1 layer already here", "")


def test_the_outcome() -> None:
    assert outcome(NOTHING) == ""
    done = [[*layer[:3], "here" if layer[3] == "here" else "done"] for layer in SOME]
    found = NOTHING | {"Bytes": 99 << 20, "LayersHere": 1, "LayerProgress": done}  # with documents, and what came again
    assert outcome(found) == "5 layers fetched, 10.0 MiB, 1 layer already here"
    assert outcome(found | {"LayersHere": 0, "LayerProgress": done[-1:]}) == "1 layer fetched, 3.0 MiB"


@pytest.mark.parametrize(("rows", "shown"), [
    (9, ["h", "a", "b", "KEEP c", "d", "KEEP e"]),
    (6, ["h", "a", "b", "KEEP c", "d", "KEEP e"]),
    (5, ["h", "a", "KEEP c", "KEEP e", "and 2 more"]),
    (4, ["h", "KEEP c", "KEEP e", "and 3 more"]),
    (3, ["h", "KEEP c", "and 4 more"]),
    (2, ["h", "and 5 more"]),
    (1, ["h"]),
    (0, ["h"]),
])  # fmt: skip
def test_a_terminal_with_few_rows(rows: int, shown: list[str]) -> None:
    lines = ["h", "a", "b", "KEEP c", "d", "KEEP e"]
    assert fitting(lines, rows, lambda line: line.startswith("KEEP")) == shown


def test_lines_are_drawn_over() -> None:
    reading, terminal = os.openpty()
    try:
        termios.tcsetwinsize(terminal, (10, 12))
        drawn = Overdrawn(terminal)
        drawn.draw(["one", "a line that is too long"], lambda _: True)
        drawn.draw(["two\x1b[31m"], lambda _: True)
        drawn.clear()
        found = ""
        while found.count("\x1b[J") < 3 and select.select([reading], [], [], 30)[0]:
            found += os.read(reading, 1000).decode()
    finally:
        os.close(reading)
        os.close(terminal)
    first, second, last = found.split("\x1b[J")[1:]
    assert first == "one\r\na line that\r\n\r\x1b[2A"
    assert (second.startswith("two"), "\x1b[31m" in second, last) == (True, False, "")
    assert second.endswith("\r\n\r\x1b[1A")
