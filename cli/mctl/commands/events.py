# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl events: what becomes of containers, as it happens or from the journal."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..failures import UsageError
from ..moments import moment
from ..names import new_name
from ..output import on_terminal, put, to_json
from ..parser import Option, Verb
from ..template import render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..client import Client
    from ..parser import Arguments

CHUNK = 64 << 10
TEXTS = {
    "Event": "MCTL_EVENT", "Name": "MCTL_CONTAINER_NAME", "Id": "MCTL_CONTAINER_ID", "Message": "MESSAGE",
    "ExitHow": "MCTL_EXIT_HOW", "Health": "MCTL_HEALTH", "Why": "MCTL_WHY",
}  # fmt: skip
NUMBERS = {
    "OwnerUID": "MCTL_OWNER_UID", "MainPID": "MCTL_MAIN_PID", "RestartCount": "MCTL_RESTARTS",
    "ExitStatus": "MCTL_EXIT_STATUS", "LastedUSec": "MCTL_LASTED_USEC", "CheckStatus": "MCTL_CHECK_STATUS",
}  # fmt: skip

EVENTS = ("started", "exited", "restarting", "given-up", "not-started", "network-lost", "health")
ALIASES = {"start": "started", "die": "exited", "died": "exited", "health_status": "health", "restart": "restarting"}


def wanted(flag: str, text: str) -> tuple[str, str]:
    """container=NAME or event=EVENT, in docker's words too. type=container is what they all are of."""
    key, _, value = text.partition("=")
    if key == "container" and value:
        return key, new_name(f"{flag} container", value)
    if key == "event" and ALIASES.get(value, value) in EVENTS:
        return key, ALIASES.get(value, value)
    if text == "type=container":
        return "type", "container"
    raise UsageError(
        f"{flag} {text[:80]!r} is not known: give container=NAME, or event=EVENT, one of {', '.join(EVENTS)}"
    )


VERB = Verb(
    usage="[OPTION...] [NAME...]",
    options=(
        Option(("--since",), "also those since then: 5m, 2h, '2024-05-01 12:00', @EPOCH", value="TIME", convert=moment),
        Option(("--until",), "only those before then, and no new ones", value="TIME", convert=moment),
        Option(
            ("-f", "--filter"), "only those", value="container=NAME|event=EVENT", convert=wanted, repeat=True
        ),
        Option(("--json",), "one JSON object a line"),
        Option(("--format",), "a template in place of text, as '{{.Event}} {{.Name}}'", value="TEMPLATE"),
    ),
    notes=f"Goes on with new ones until it is interrupted, unless --until is given. EVENT is\n{', '.join(EVENTS)}.",
)


def run(arguments: Arguments, client: Client) -> int:
    if arguments.get("json") and arguments.get("format"):
        raise UsageError("--json and --format exclude each other: give one of them")
    (pipe,) = client.manager("OpenEvents", "a{sv}t", asked_for(arguments), 0)
    kinds = said(arguments, "event")
    for event in events(pipe):
        if not kinds or event["Event"] in kinds:
            put(shown(event, arguments))
    return 0


def asked_for(arguments: Arguments) -> dict[str, tuple[str, object]]:
    follow = "until" not in arguments.options
    chosen: dict[str, tuple[str, object]] = {"Follow": ("b", follow)}
    if follow and "since" not in arguments.options:
        chosen["Lines"] = ("t", 0)
    for key, option in (("Since", "since"), ("Until", "until")):
        if option in arguments.options:
            chosen[key] = ("t", arguments.options[option])
    names = [new_name("NAME", name) for name in arguments.operands] + said(arguments, "container")
    if names:
        chosen["Names"] = ("as", names)
    return chosen


def said(arguments: Arguments, about: str) -> list[str]:
    """What --filter says about containers, or events."""
    return [value for key, value in arguments.get("filter", ()) if key == about]


def events(pipe: int) -> Iterator[dict[str, Any]]:
    """Until the end of `pipe`."""
    import json

    rest = b""
    while data := os.read(pipe, CHUNK):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield event_of(json.loads(line))


def event_of(entry: dict[str, Any]) -> dict[str, Any]:
    """In the words of the properties on the bus; what an event does not tell is left out."""
    found: dict[str, Any] = {"Timestamp": int(entry["__REALTIME_TIMESTAMP"])}
    found |= {key: text(entry[field]) for key, field in TEXTS.items() if entry.get(field)}
    return found | {key: int(entry[field]) for key, field in NUMBERS.items() if entry.get(field)}


def text(value: Any) -> str:
    """journalctl writes what is no printable UTF-8 as an array of bytes."""
    return bytes(value).decode(errors="backslashreplace") if isinstance(value, list) else str(value)


def shown(event: dict[str, Any], arguments: Arguments) -> str:
    if arguments.get("json"):
        return to_json(event, pretty=False)
    if "format" in arguments.options:
        return on_terminal(render(arguments.options["format"], {**dict.fromkeys((*TEXTS, *NUMBERS), ""), **event}))
    from datetime import datetime

    when = datetime.fromtimestamp(event["Timestamp"] / 1_000_000).astimezone()
    return on_terminal(f"{when:%Y-%m-%dT%H:%M:%S.%f%z} {event.get('Message', '')}\n")
