# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl ps: one call, one table."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..client import unwrapped
from ..failures import UsageError
from ..formats import JSON
from ..output import on_terminal, put, render, span, table, to_json
from ..owners import owner_name
from ..parser import Option, Verb

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

ACTIVE = ["starting", "running", "paused", "stopping", "unreadable"]  # what wants to be seen
HEADS = ("NAME", "ID", "STATE", "OWNER", "COMMAND", "CREATED")
ID_DIGITS = 12
COMMAND_WIDTH = 30


def filter_pair(flag: str, text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    key = {"status": "state", "names": "name"}.get(key, key)
    if key not in ("state", "name") or not equals or not value:
        raise UsageError(f"{flag} {text!r} is not known: give state=STATE or name=NAME")
    return key, value


VERB = Verb(
    usage="[OPTION...]",
    options=(
        Option(("-a", "--all"), "also those that do not run"),
        Option(("-q", "--quiet"), "only ids"),
        Option(
            ("-f", "--filter"),
            "only those; several of a kind mean any of them",
            value="state=S|name=N",
            convert=filter_pair,
            repeat=True,
        ),
        Option(("--format",), "table, json, ids, or a template as '{{.Name}} {{.State}}'", value="FORMAT"),
        Option(("--no-trunc",), "whole ids and commands"),
        JSON,
    ),
)


def run(arguments: Arguments, client: Client) -> int:
    if arguments.operands:
        raise UsageError(
            f"ps takes no names, but got {arguments.operands[0]!r}; use --filter name={arguments.operands[0]}"
        )
    reply = client.manager("ListContainers", "a{sv}t", asked_for(arguments), 0)
    containers = [unwrapped(each) for each in reply[0]]
    containers.sort(key=lambda c: c.get("CreateTimestamp", 0), reverse=True)
    put(listing(containers, arguments))
    return 0


def asked_for(arguments: Arguments) -> dict[str, tuple[str, list[str]]]:
    """The filter as the service takes it. Naming a state is asking for it, so it needs no -a."""
    pairs = arguments.get("filter", [])
    states = [value for key, value in pairs if key == "state"]
    names = [value for key, value in pairs if key == "name"]
    if not states and not arguments.get("all"):
        states = ACTIVE
    chosen = {"States": ("as", states), "Names": ("as", names)}
    return {key: value for key, value in chosen.items() if value[1]}


def listing(containers: list[dict[str, Any]], arguments: Arguments) -> str:
    style = arguments.get("format", "table")
    whole = bool(arguments.get("no_trunc"))
    if arguments.get("quiet") or style == "ids":
        return "".join(f"{short_id(c, whole=whole)}\n" for c in containers)
    json_style = arguments.get("json", "pretty" if style == "json" else "off")
    if json_style != "off":
        return to_json(containers, pretty=json_style == "pretty")
    owners = {uid: owner_name(uid) for uid in {c["OwnerUID"] for c in containers}}
    now = time.time()
    if style == "table":
        return table(HEADS, [row(c, owners, now, whole=whole) for c in containers])
    return "".join(on_terminal(render(style, {**c, **for_people(c, owners, now, whole=whole)})) for c in containers)


def row(container: dict[str, Any], owners: dict[int, str], now: float, *, whole: bool) -> tuple[str, ...]:
    fields = for_people(container, owners, now, whole=whole)
    command = " ".join(container["Command"])
    if not whole and len(command) > COMMAND_WIDTH:
        command = command[: COMMAND_WIDTH - 1] + "…"
    return (container["Name"], fields["ID"], fields["Status"], fields["Owner"], command, fields["Created"])


def for_people(container: dict[str, Any], owners: dict[int, str], now: float, *, whole: bool) -> dict[str, str]:
    """What the table shows and the bus does not say in these words; templates may use it too."""
    return {
        "ID": short_id(container, whole=whole),
        "Names": container["Name"],
        "Owner": owners[container["OwnerUID"]],
        "Status": status(container, now),
        "Created": since(container.get("CreateTimestamp", 0), now) + " ago",
    }


def short_id(container: dict[str, Any], *, whole: bool) -> str:
    identity: str = container["Id"]
    return identity if whole else identity[:ID_DIGITS]


def status(container: dict[str, Any], now: float) -> str:
    """`running 3 min`, `exited (0) 2 h ago`, `killed (9) 5 s ago`, `created`."""
    state: str = container["State"]
    if state == "running":
        return f"running {since(container.get('StartTimestamp', 0), now)}"
    how = container.get("ExitHow", "")
    if state != "exited" or not how:
        return state
    when = f"{since(container.get('ExitTimestamp', 0), now)} ago"
    if how in ("unknown", "never-started"):
        return f"{'exited (unknown)' if how == 'unknown' else how} {when}"
    return f"{how} ({container.get('ExitStatus', 0)}) {when}"


def since(microseconds: int, now: float) -> str:
    return span(now - microseconds / 1_000_000)
