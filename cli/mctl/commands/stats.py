# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl stats: what containers use, again and again or once."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from ..client import unwrapped
from ..formats import JSON
from ..output import complain, put, table, to_json
from ..parser import Option, Verb
from ..sizes import whole
from ..template import listing
from ..usage import HEADS, NOTHING, Sample, for_people, row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..client import Client
    from ..parser import Arguments

INTERVAL = 1000  # milliseconds
SHORTEST, LONGEST = 100, 3_600_000
FIRST = 500  # the first figures come sooner: rates take two looks
ABSENT = "there is no container {!r} that you may see; `mctl ps -a` lists them"
IDLE = "no container {!r} runs that you may see; `mctl ps` lists those that do"
HOME_AND_CLEAR = "\x1b[H\x1b[J"  # ECMA-48, CUP and ED


def milliseconds(flag: str, text: str) -> int:
    return whole(flag, text, SHORTEST, LONGEST)


VERB = Verb(
    usage="[OPTION...] [NAME...]",
    options=(
        Option(("-a", "--all"), "also those that do not run"),
        Option(("--no-stream",), "once, and end"),
        Option(("--interval",), "between two looks, 1000 by default", value="MS", convert=milliseconds),
        Option(("--format",), "table, json, or a template as '{{.Name}} {{.CPU}}'", value="FORMAT"),
        JSON,
    ),
    notes="Of all containers that run, or of those named. Ctrl-C ends it.",
)


def run(arguments: Arguments, client: Client) -> int:
    names = arguments.operands
    interval = arguments.get("interval", INTERVAL)
    everybody = bool(arguments.get("all"))
    before = sample(client, everybody=everybody)
    missing = [name for name in names if not chosen(before, [name])]
    for name in missing:
        complain((ABSENT if everybody else IDLE).format(name))
    if missing and len(missing) == len(names):
        return 1
    once = bool(arguments.get("no_stream"))
    try:
        time.sleep(min(interval, FIRST) / 1000)
        while True:
            now = sample(client, everybody=everybody)
            show(before, now, arguments)
            if once:
                break
            before = now
            time.sleep(interval / 1000)
    except KeyboardInterrupt:
        pass  # it is how one leaves
    return int(bool(missing))


def sample(client: Client, *, everybody: bool) -> Sample:
    """everybody: those that do not run use nothing, which is not to say 0."""
    (found,) = client.manager("GetStats", "a{sv}t", {}, 0)
    used = {each["Id"]: each for each in map(unwrapped, found)}
    idle = client.containers({"Properties": ("as", ["Name", "Id", "OwnerUID"])}) if everybody else ()
    return {each["Id"]: {**each, **NOTHING} for each in idle} | used


def chosen(found: Sample, names: Sequence[str]) -> list[dict[str, Any]]:
    """In the order of their names."""
    wanted = [
        each
        for each in found.values()
        if not names or any(each["Name"] == name or (len(name) >= 4 and each["Id"].startswith(name)) for name in names)
    ]
    return sorted(wanted, key=lambda each: str(each["Name"]))


def show(before: Sample, now: Sample, arguments: Arguments) -> None:
    containers = [each | for_people(before.get(each["Id"]), each) for each in chosen(now, arguments.operands)]
    style = arguments.get("format", "table")
    json_style = arguments.get("json", "short" if style == "json" else "off")
    if json_style != "off":
        put(to_json(containers, pretty=json_style == "pretty"))
    elif style == "table":
        live = not arguments.get("no_stream") and os.isatty(1)
        put((HOME_AND_CLEAR if live else "") + table(HEADS, [row(each) for each in containers]))
    else:
        put(listing(style, [(each, {}) for each in containers]))
