# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl logs: the service opens the journal's lines as a pipe; they are copied as they come."""

from __future__ import annotations

import os
import re
from collections import deque
from typing import TYPE_CHECKING

from ..failures import UsageError
from ..log import Log
from ..moments import moment
from ..output import put_bytes
from ..parser import Option, Verb
from ..sizes import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..client import Client
    from ..entries import Entry
    from ..log import Asked
    from ..parser import Arguments

SHORT = ("short", "short-full", "short-iso", "short-iso-precise", "short-precise", "short-monotonic", "short-unix")
OUTPUTS = ("cat", *SHORT, "with-unit", "verbose", "json", "json-pretty", "json-sse", "json-seq", "export")
PRIORITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")


def count(flag: str, text: str) -> int | None:
    return None if text in ("all", "-1") else whole(flag, text, 0, 2**32)


def output_mode(flag: str, text: str) -> str:
    if text not in OUTPUTS:
        raise UsageError(f"{flag} {text!r} is not known: give {', '.join(OUTPUTS)}")
    return text


def priority(flag: str, text: str) -> int:
    if text in PRIORITIES:
        return PRIORITIES.index(text)
    if len(text) == 1 and text in "01234567":
        return int(text)
    raise UsageError(f"{flag} {text!r} is not known: give 0 to 7, or {', '.join(PRIORITIES)}")


def pattern(flag: str, text: str) -> re.Pattern[bytes]:
    try:
        return re.compile(text.encode("utf-8", "surrogateescape"))
    except re.error as error:
        raise UsageError(f"{flag} {text!r} is not a regular expression: {error}") from None


VERB = Verb(
    usage="[OPTION...] NAME",
    options=(
        Option(("-f", "--follow"), "go on with new lines until the container has ended"),
        Option(("-n", "--tail"), "only the last N lines", value="N", convert=count),
        Option(
            ("--since",), "only lines from then on: 5m, 2h, '2024-05-01 12:00', @EPOCH", value="TIME", convert=moment
        ),
        Option(("--until",), "only lines before then", value="TIME", convert=moment),
        Option(("-p", "--priority"), "only lines of this priority and more urgent ones", value="0-7", convert=priority),
        Option(("-g", "--grep"), "only lines that match a regular expression", value="PATTERN", convert=pattern),
        Option(("-t", "--timestamps"), "with time, host and process, as journalctl -o short-iso-precise"),
        Option(("-o", "--output"), "as journalctl prints it: cat, short, json, ...", value="MODE", convert=output_mode),
        Option(("--raw",), "control characters as they are, also to a terminal"),
    ),
)


def run(arguments: Arguments, client: Client) -> int:
    if len(arguments.operands) != 1:
        raise UsageError("logs needs the name of one container; `mctl ps -a` lists them")
    if arguments.get("output") and arguments.get("grep"):
        raise UsageError("--output and --grep exclude each other: journalctl prints the one, mctl looks for the other")
    printed = Printer(raw=bool(arguments.get("raw")) or not os.isatty(1))
    log = Log(client, arguments.operands[0])
    asked = asked_for(arguments)
    if arguments.get("output") and arguments.get("follow"):
        from ..rendering import form

        for text in log.printed(asked, form(str(arguments.get("output")))):
            printed(text)
    elif arguments.get("output") or not (arguments.get("follow") or arguments.get("grep") or log.is_broken(asked)):
        for data in log.pieces(asked):
            printed(data)
    else:
        by_entries(log, asked, arguments, printed)
    printed.finish()
    return 0


def asked_for(arguments: Arguments) -> Asked:
    mode = arguments.get("output", "short-iso-precise" if arguments.get("timestamps") else None)
    chosen = {
        "Follow": ("b", True if arguments.get("follow") else None),
        "Lines": ("t", arguments.get("tail")),
        "Since": ("t", arguments.get("since")),
        "Until": ("t", arguments.get("until")),
        "Priority": ("u", arguments.get("priority")),
        "Output": ("s", mode),
    }
    return {key: value for key, value in chosen.items() if value[1] is not None}


def by_entries(log: Log, asked: Asked, arguments: Arguments, printed: Callable[[bytes], None]) -> None:
    """Whole lines, and each one once, though the service may end and come back while they are followed."""
    from ..entries import text

    wanted, stamped, last = arguments.get("grep"), bool(arguments.get("timestamps")), arguments.get("tail")

    def matching(asked: Asked) -> Iterator[Entry]:
        return (e for e in log.lines(asked) if wanted is None or wanted.search(e.get(b"MESSAGE", b"")))

    if wanted and last is not None:  # the last that match, not those that match of the last
        asked = {key: value for key, value in asked.items() if key != "Lines"}
        before = {key: value for key, value in asked.items() if key != "Follow"}
        for entry in deque(matching(before), maxlen=last):
            printed(text(entry, stamped=stamped))
        if "Follow" not in asked:
            return
    for entry in matching(asked):
        printed(text(entry, stamped=stamped))


class Printer:
    """Without `raw` nothing that a terminal would obey gets through."""

    def __init__(self, *, raw: bool) -> None:
        self._escape = None
        if not raw:
            from ..visible import Escaper

            self._escape = Escaper()

    def __call__(self, data: bytes) -> None:
        put_bytes(self._escape.feed(data) if self._escape else data)

    def finish(self) -> None:
        if self._escape:
            put_bytes(self._escape.finish())
