# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl ps: one call, one table."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..failures import INVALID, Failure, UsageError
from ..formats import JSON
from ..names import FEWEST_DIGITS
from ..output import span, table, to_json
from ..owners import owner_name
from ..pager import put_long
from ..parser import Option, Verb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..client import Client
    from ..parser import Arguments

ACTIVE = ["starting", "running", "paused", "stopping", "restarting", "unreadable"]  # what wants to be seen
HEADS = ("NAME", "ID", "STATE", "OWNER", "IMAGE", "COMMAND", "CREATED", "PORTS")
# All others are left out of the answer where nobody would see them: that is quicker with many containers.
IN_IDS = ("Id", "CreateTimestamp")
IN_TABLE = (
    *IN_IDS, "Name", "State", "OwnerUID", "Image", "Rootfs", "Command", "Ports", "ActivatedPorts", "StartTimestamp",
    "Health", "RestartCount", "NextStartTimestamp",
)  # fmt: skip
GIVE = ("COMMAND", "IMAGE", "-CREATED", "PORTS")  # on a narrow terminal; STATE tells a time too
OF_ENDED = ("ExitTimestamp", "ExitHow", "ExitStatus")
OF_PEOPLE = ("ID", "Names", "Owner", "Status", "Created")  # not the bus's names
ID_DIGITS = 12
COMMAND_WIDTH = 30
ORIGIN_WIDTH = 32


def filter_pair(flag: str, text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    key = {"status": "state", "names": "name", "ancestor": "image"}.get(key, key)
    if key not in ("state", "name", "label", "id", "image") or not equals or not value:
        raise UsageError(
            f"{flag} {text!r} is not known: give state=STATE, name=NAME, id=ID, image=IMAGE or label=KEY[=VALUE]"
        )
    return key, value


def count(flag: str, text: str) -> int:
    from ..sizes import whole

    return whole(flag, text, 1, 1_000_000)


VERB = Verb(
    usage="[OPTION...]",
    options=(
        Option(("-a", "--all"), "also those that do not run"),
        Option(("-q", "--quiet"), "only ids"),
        Option(
            ("-f", "--filter"),
            "only those with this state, name, id, image or label",
            value="state=S|name=N|id=I|image=I|label=K[=V]",
            convert=filter_pair,
            repeat=True,
        ),
        Option(("--format",), "table, json, ids, or a template as '{{.Name}} {{.State}}'", value="FORMAT"),
        Option(("-l", "--latest"), "only the newest, as -n 1"),
        Option(("-n", "--last"), "only the newest N, also those that do not run", value="N", convert=count),
        Option(("--no-trunc",), "whole ids and commands"),
        JSON,
    ),
    notes="Several states, names, ids or images of -f mean any of them, several labels all of them.",
)


def run(arguments: Arguments, client: Client) -> int:
    if arguments.operands:
        raise UsageError(
            f"ps takes no names, but got {arguments.operands[0]!r}; use --filter name={arguments.operands[0]}"
        )
    containers = found(arguments, client)
    containers.sort(key=lambda c: c.get("CreateTimestamp", 0), reverse=True)
    put_long(listing(containers[: last(arguments)], arguments), arguments)
    return 0


def last(arguments: Arguments) -> int | None:
    """How many of the newest; None is all."""
    return 1 if arguments.get("latest") else arguments.get("last")


def found(arguments: Arguments, client: Client) -> list[dict[str, Any]]:
    """What the service does not choose by itself is chosen here."""
    ids, images = values(arguments, "id"), values(arguments, "image")
    return [
        each
        for each in listed(arguments, client)
        if (not ids or any(each["Id"].startswith(value.lower()) for value in ids))
        and (not images or any(is_made_of(each, value) for value in images))
    ]


def values(arguments: Arguments, wanted: str) -> list[str]:
    """What the filter says of `wanted`."""
    return [value for key, value in arguments.get("filter", ()) if key == wanted]


def is_made_of(container: dict[str, Any], image: str) -> bool:
    """As a name, with or without the tag latest, or by an id's beginning."""
    digest = container["ImageId"].removeprefix("sha256:")
    wanted = image.removesuffix(":latest")
    return container["Image"].removesuffix(":latest") == wanted or (
        len(wanted) >= FEWEST_DIGITS and digest.startswith(wanted.removeprefix("sha256:").lower())
    )


def listed(arguments: Arguments, client: Client) -> list[dict[str, Any]]:
    wanted = asked_for(arguments)
    try:
        return client.containers(wanted)
    except Failure as error:
        if error.name != INVALID or "--format" not in str(error):
            raise
        refused = str(error)
    every = client.containers({key: value for key, value in wanted.items() if key != "Properties"})
    if not every:
        raise UsageError(refused)
    return every  # from these the template itself tells what is meant, perhaps


def asked_for(arguments: Arguments) -> dict[str, tuple[str, list[str]]]:
    """The filter as the service takes it. Naming a state is asking for it, so it needs no -a."""
    states = values(arguments, "state")
    if not states and not arguments.get("all") and last(arguments) is None:
        states = ACTIVE
    chosen = {
        "States": states,
        "Names": values(arguments, "name"),
        "Labels": values(arguments, "label"),
        "Properties": needed(arguments, states),
    }
    return {key: ("as", value) for key, value in chosen.items() if value}


def needed(arguments: Arguments, states: list[str]) -> list[str]:
    """The properties that are shown; none is all of them. states: of the containers; none is any."""
    style = style_of(arguments)
    in_table = IN_TABLE if states and "exited" not in states else (*IN_TABLE, *OF_ENDED)
    chosen_by = ("Image", "ImageId") if values(arguments, "image") else ()
    if style in ("ids", "table"):
        return list(dict.fromkeys((*(IN_IDS if style == "ids" else in_table), *chosen_by)))
    if style == "json":
        return []
    from ..template import fields_of  # not for those who have none

    named = fields_of(style)
    return [] if "" in named else sorted({*in_table, *chosen_by, *named}.difference(OF_PEOPLE))


def style_of(arguments: Arguments) -> str:
    """table, ids, json or a template."""
    if arguments.get("quiet"):
        return "ids"
    style: str = arguments.get("format", "table")
    return style if style == "ids" or arguments.get("json", "off") == "off" else "json"


def listing(containers: list[dict[str, Any]], arguments: Arguments) -> str:
    style = style_of(arguments)
    whole = bool(arguments.get("no_trunc"))
    if style == "ids":
        return "".join(f"{short_id(c, whole=whole)}\n" for c in containers)
    json_style = arguments.get("json", "pretty" if style == "json" else "off")
    if json_style != "off":
        return to_json(containers, pretty=json_style == "pretty")
    owners = {uid: owner_name(uid) for uid in {c["OwnerUID"] for c in containers}}
    now = time.time()
    if style == "table":
        return table(HEADS, [row(c, owners, now, whole=whole) for c in containers], () if whole else GIVE)
    from .. import template

    rows = [({**c, **for_people(c, owners, now, whole=whole)}, texts(c)) for c in containers]
    return template.listing(style, rows)


def row(container: dict[str, Any], owners: dict[int, str], now: float, *, whole: bool) -> tuple[str, ...]:
    fields = for_people(container, owners, now, whole=whole)
    origin = container.get("Image") or container.get("Rootfs", "")
    command = " ".join(container["Command"])
    if not whole:
        origin, command = shortened(origin, ORIGIN_WIDTH), shortened(command, COMMAND_WIDTH)
    return (
        container["Name"], fields["ID"], fields["Status"], fields["Owner"], origin, command, fields["Created"],
        published(container.get("Ports", ()), container.get("ActivatedPorts", ())),
    )  # fmt: skip


def texts(container: dict[str, Any]) -> dict[str, str]:
    """What stands in a template for a field that is no text on the bus, or none that says it all."""
    return {
        "Image": container.get("Image") or container.get("Rootfs", ""),
        "Ports": published(container.get("Ports", ()), container.get("ActivatedPorts", ())),
    }


def shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def published(ports: Sequence[Any], activated: Sequence[Any] = ()) -> str:
    if not ports and not activated:
        return ""
    from ..ports import cell, port_of

    cells = [cell(port_of(port)) for port in ports]
    return ", ".join([*cells, *(f"{cell(port_of(port))} on call" for port in activated)])


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
    """`running 3 min (healthy)`, `exited (0) 2 h ago`, `restarting (2) in 6 s`, `killed (9) 5 s ago`, `created`."""
    state: str = container["State"]
    if state == "running":
        health = container.get("Health", "none")
        shown = "" if health == "none" else f" ({health})"
        return f"running {since(container.get('StartTimestamp', 0), now)}{shown}"
    if state == "restarting":
        left = span(container.get("NextStartTimestamp", 0) / 1_000_000 - now)
        return f"restarting ({container.get('RestartCount', 0)}) in {left}"
    how = container.get("ExitHow", "")
    if state != "exited" or not how:
        return state
    when = f"{since(container.get('ExitTimestamp', 0), now)} ago"
    if how in ("unknown", "never-started"):
        return f"{'exited (unknown)' if how == 'unknown' else how} {when}"
    return f"{how} ({container.get('ExitStatus', 0)}) {when}"


def since(microseconds: int, now: float) -> str:
    return span(now - microseconds / 1_000_000)
