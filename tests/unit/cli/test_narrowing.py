# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables on terminals of some width."""

from __future__ import annotations

import pytest

from mctl import output
from mctl.output import table

HEADS = ("NAME", "IMAGE", "CREATED", "PORTS")
ROWS = [("web", "registry.example.org/team/app:1", "2 min ago", "0.0.0.0:8080->80/tcp, 0.0.0.0:8443->443/tcp")]
GIVE = ("IMAGE", "-CREATED", "PORTS")


@pytest.fixture
def width(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    columns = [0]
    monkeypatch.setattr(output, "terminal_columns", lambda: columns[0])
    return columns


@pytest.mark.parametrize(
    ("columns", "heads", "line"),
    [
        (93, f"NAME  {'IMAGE':31}  CREATED    PORTS", f"web   {ROWS[0][1]}  2 min ago  {ROWS[0][3]}"),
        (92, f"NAME  {'IMAGE':30}  CREATED    PORTS", f"web   {ROWS[0][1][:29]}…  2 min ago  {ROWS[0][3]}"),
        (72, "NAME  IMAGE         PORTS", f"web   registry.ex…  {ROWS[0][3]}"),
        (40, "NAME  IMAGE         PORTS", "web   registry.ex…  0.0.0.0:8080->80/tc…"),
        (32, "NAME  IMAGE         PORTS", "web   registry.ex…  0.0.0.0:808…"),
    ],
)
def test_as_much_as_there_is_room_for(width: list[int], columns: int, heads: str, line: str) -> None:
    width[0] = columns
    shown = table(HEADS, ROWS, GIVE).splitlines()
    assert shown == [heads, line]
    assert max(map(len, shown)) <= columns


def test_where_it_cannot_be_made_to_fit_nothing_is_lost(width: list[int]) -> None:
    whole = table(HEADS, ROWS)
    width[0] = 31
    assert table(HEADS, ROWS, GIVE) == whole


def test_not_on_a_terminal_and_not_where_nothing_gives(width: list[int]) -> None:
    whole = table(HEADS, ROWS)
    assert table(HEADS, ROWS, GIVE) == whole
    width[0] = 40
    assert table(HEADS, ROWS) == whole
    assert table(HEADS, [], GIVE) == "NAME  IMAGE  CREATED  PORTS\n"


def test_a_column_that_is_short_stays(width: list[int]) -> None:
    width[0] = 20
    assert table(("A", "B"), [("x", "y" * 30)], ("A", "B")).splitlines() == ["A  B", f"x  {'y' * 16}…"]
