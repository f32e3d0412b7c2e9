# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl logs: the service opens the journal's lines as a pipe; they are copied as they come."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..client import CONTAINER, Call
from ..failures import UsageError
from ..moments import moment
from ..names import call_on
from ..output import put_bytes
from ..parser import Option, Verb
from ..sizes import whole

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

CHUNK = 64 << 10
OUTPUTS = ("cat", "short-iso-precise", "json", "export")


def count(flag: str, text: str) -> int | None:
    return None if text in ("all", "-1") else whole(flag, text, 0, 2**32)


def output_mode(flag: str, text: str) -> str:
    if text not in OUTPUTS:
        raise UsageError(f"{flag} {text!r} is not known: give {', '.join(OUTPUTS)}")
    return text


VERB = Verb(
    usage="[OPTION...] NAME",
    options=(
        Option(("-f", "--follow"), "go on with new lines until interrupted"),
        Option(("-n", "--tail"), "only the last N lines", value="N", convert=count),
        Option(
            ("--since",), "only lines from then on: 5m, 2h, '2024-05-01 12:00', @EPOCH", value="TIME", convert=moment
        ),
        Option(("--until",), "only lines before then", value="TIME", convert=moment),
        Option(("-t", "--timestamps"), "with time, host and process, as journalctl -o short-iso-precise"),
        Option(("-o", "--output"), "cat, short-iso-precise, json or export", value="MODE", convert=output_mode),
        Option(("--raw",), "control characters as they are, also to a terminal"),
    ),
    descriptors=True,
)


def run(arguments: Arguments, client: Client) -> int:
    if len(arguments.operands) != 1:
        raise UsageError("logs needs the name of one container; `mctl ps -a` lists them")
    call = Call("", CONTAINER, "OpenLog", "a{sv}t", asked_for(arguments), 0)
    (log,) = call_on(client, arguments.operands[0], call)
    copy(log.to_raw_fd(), raw=bool(arguments.get("raw")) or not os.isatty(1))
    return 0


def asked_for(arguments: Arguments) -> dict[str, tuple[str, object]]:
    mode = arguments.get("output", "short-iso-precise" if arguments.get("timestamps") else None)
    chosen = {
        "Follow": ("b", True if arguments.get("follow") else None),
        "Lines": ("t", arguments.get("tail")),
        "Since": ("t", arguments.get("since")),
        "Until": ("t", arguments.get("until")),
        "Output": ("s", mode),
    }
    return {key: value for key, value in chosen.items() if value[1] is not None}


def copy(log: int, *, raw: bool) -> None:
    """Until the end of `log`. Without `raw` nothing that a terminal would obey gets through."""
    escape = None
    if not raw:
        from ..visible import Escaper

        escape = Escaper()
    while data := os.read(log, CHUNK):
        put_bytes(escape.feed(data) if escape else data)
    if escape:
        put_bytes(escape.finish())
