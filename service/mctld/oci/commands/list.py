# SPDX-License-Identifier: GPL-3.0-or-later
"""list: all containers below --root."""

from __future__ import annotations

from ...errors import InvalidArgs, MctlError
from ...runtime import plainjson
from .. import arguments, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..call import Call

OPTIONS = {"format": arguments.TEXT, "quiet": arguments.FLAG}
COLUMNS = ("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER")


def run(call: Call) -> int:
    form = call.options.text("format", "table")
    if form not in ("table", "json"):
        raise InvalidArgs(f"--format {form!r} must be table or json")
    found = [entry for name in state.names(call.root) if (entry := _described(call, name))]
    if call.options.flag("quiet"):
        print(*(entry["id"] for entry in found), sep="\n", end="\n" if found else "")
    elif form == "json":
        print(plainjson.dumps(found))
    else:
        _table(found)
    return 0


def _described(call: Call, name: str) -> dict[str, Any] | None:
    """None for one that is gone meanwhile, or that is only being made."""
    try:
        with state.look(call.root, name) as entry:
            record = entry.record()
            return state.describe(record, state.status(entry, record))
    except MctlError:
        return None


def _table(found: list[dict[str, Any]]) -> None:
    rows = [COLUMNS, *(tuple(str(entry[column.lower()]) for column in COLUMNS) for entry in found)]
    widths = [max(len(row[index]) for row in rows) for index in range(len(COLUMNS))]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
