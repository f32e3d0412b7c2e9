# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl wait: the exit statuses of containers, when they have ended; or that they are ready."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..client import MANAGER, ROOT, Call
from ..failures import Failure, UsageError
from ..formats import JSON
from ..names import named
from ..output import complain, put, to_json
from ..parser import Option, Verb

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

AT_ONCE = 16  # the service bounds the calls in flight of one client

VERB = Verb(
    usage="[OPTION...] NAME...",
    options=(
        Option(("--ready",), "until each is ready, as --sdnotify says; prints their names"),
        JSON,
    ),
    notes="Prints a line for each: the exit status, or 128 + N if signal N killed it.",
)


def run(arguments: Arguments, client: Client) -> int:
    names = arguments.operands
    if not names:
        raise UsageError("no container was named; `mctl ps` lists those that run")
    style = arguments.get("json", "off")
    member, answer = ("WaitReady", ready) if arguments.get("ready") else ("WaitContainer", end)
    found: list[dict[str, Any]] = []
    for begin in range(0, len(names), AT_ONCE):
        calls = [(name, Call(ROOT, MANAGER, member, "s", name)) for name in names[begin:][:AT_ONCE]]
        for _, call in calls:
            client.send(call)
        for name, call in calls:
            try:
                told, line = answer(name, client.awaited(call))
            except Failure as error:
                complain(named(name, error))
                continue
            found.append({"Name": name, **told})
            if style == "off":
                put(f"{line}\n")
    if style != "off":
        put(to_json(found, pretty=style == "pretty"))
    return int(len(found) < len(names))


Answer = tuple[dict[str, Any], str]  # for --json, and as a line


def end(name: str, reply: tuple[Any, ...]) -> Answer:
    how, status = reply
    if how not in ("exited", "killed", "oom"):
        raise Failure(f"it has no exit status ({how})", status=1)
    shown = status if how == "exited" else 128 + status
    return {"ExitHow": how, "ExitStatus": status}, str(shown)


def ready(name: str, reply: tuple[Any, ...]) -> Answer:
    if not reply[0]:
        raise Failure("it has ended before it was ready, or does not run", status=1)
    return {"Ready": True}, name
