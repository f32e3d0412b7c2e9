# SPDX-License-Identifier: GPL-3.0-or-later
"""What people and programs read: tables, templates, JSON, times; control characters never reach a terminal."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .failures import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

INFINITY = 2**64 - 1
GAP = 2  # between columns

_SPANS = ((365 * 86400, "y"), (14 * 86400, "wk"), (2 * 86400, "d"), (2 * 3600, "h"), (120, "min"))
_UNITS = {"y": 365 * 86400, "wk": 7 * 86400, "d": 86400, "h": 3600, "min": 60}


def put(text: str) -> None:
    """Text to standard output, whole."""
    put_bytes(text.encode("utf-8", "backslashreplace"))


def put_bytes(data: bytes, *, failure_status: int = 1) -> None:
    """To standard output, whole. Raises BrokenPipeError where nobody reads, Failure where there is no room."""
    try:
        write_all(1, data)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Failure(f"cannot write to standard output: {error.strerror}", status=failure_status) from None


def complain(sentence: str) -> None:
    """One line on standard error. If nobody can read that either, the exit status still tells."""
    try:  # contextlib would take 2 ms to be imported
        write_all(2, f"mctl: {printable(sentence)}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        return


def write_all(fd: int, data: bytes) -> None:
    """Writes all of `data`, also to a descriptor that somebody else has made non-blocking."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            wait_writable(fd)


def wait_writable(fd: int) -> None:
    import select

    poller = select.poll()
    poller.register(fd, select.POLLOUT)
    poller.poll()


def escapes(keep: str = "") -> dict[int, str]:
    """For str.translate: C0, DEL and C1, which a terminal obeys; line separators; what turns the direction of text."""
    codes = [*range(0x20), *range(0x7F, 0xA0), 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A)]
    named = {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r", 0x1B: "\\e"}
    table = {code: named.get(code) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}") for code in codes}
    return {code: text for code, text in table.items() if chr(code) not in keep}


def printable(text: str, keep: str = "") -> str:
    """`text` with control characters as visible escapes, except those in `keep`."""
    return text if text.isprintable() else text.translate(escapes(keep))


def span(seconds: float) -> str:
    """How long, in the one unit that says enough: 90 s, 3 min, 5 h, 9 d."""
    for least, unit in _SPANS:
        if seconds >= least:
            return f"{int(seconds // _UNITS[unit])} {unit}"
    return f"{max(0, int(seconds))} s"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], give: Sequence[str] = ()) -> str:
    """Columns as wide as they must be, the last one ragged. give: heads of those that a narrow terminal may shorten."""
    lines = [list(heads), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    if give and (columns := terminal_columns()) and sum(widths) + GAP * (len(widths) - 1) > columns:
        from .narrowing import narrowed  # rarely wanted

        lines, widths = narrowed(lines, widths, give, columns)
    return "".join("  ".join(map(str.ljust, line, widths)).rstrip() + "\n" for line in lines)


def terminal_columns() -> int:
    """Of the terminal that is written to; 0 where there is none."""
    try:
        return os.get_terminal_size(1).columns
    except OSError:
        return 0


def to_json(value: object, *, pretty: bool) -> str:
    """JSON, one value and a line end. No limit, UINT64_MAX on the bus, is null: few readers keep 64 bits."""
    import json

    text = json.dumps(without_infinity(value), indent=2 if pretty else None, ensure_ascii=True)
    return f"{text}\n"


def without_infinity(value: object) -> object:
    if isinstance(value, dict):
        return {key: without_infinity(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_infinity(item) for item in value]
    return None if value == INFINITY and not isinstance(value, str) else value


def on_terminal(text: str) -> str:
    """`text` fit for where standard output goes: raw to a file or pipe, escaped to a terminal."""
    return printable(text, keep="\n\t") if os.isatty(1) else text
