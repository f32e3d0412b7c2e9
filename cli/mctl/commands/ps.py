# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl ps: one call, one table."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..failures import INVALID, Failure, UsageError
from ..formats import JSON
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
OF_PEOPLE = ("ID", "Names", "Owner", "Status", "Created", "RunningFor", "CreatedAt", "Size")  # not the bus's names
ID_DIGITS = 12
COMMAND_WIDTH = 30
ORIGIN_WIDTH = 32


KEYS = ("state", "name", "id", "image", "label", "health", "exited", "network", "volume", "publish", "before", "since")
ALIASES = {"status": "state", "names": "name", "ancestor": "image"}
OF_SERVICE = ("state", "label")  # what it chooses by itself


def filter_pair(flag: str, text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    key = ALIASES.get(key, key)
    if key not in KEYS or not equals or not value:
        raise UsageError(f"{flag} {text!r} is not known: give KEY=VALUE, KEY one of {', '.join(KEYS)}")
    if key not in OF_SERVICE:
        from ..choice import check  # only for those who choose

        check(flag, key, value)
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
            "only those of this state, name, label, image, network, ...",
            value="KEY=VALUE",
            convert=filter_pair,
            repeat=True,
        ),
        Option(("--format",), "table, json, ids, or a template as '{{.Name}} {{.State}}'", value="FORMAT"),
        Option(("-l", "--latest"), "only the newest, as -n 1"),
        Option(("-n", "--last"), "only the newest N, also those that do not run", value="N", convert=count),
        Option(("--no-trunc",), "whole ids and commands"),
        Option(("-s", "--size"), "also what each has changed on the disk: every file is looked at"),
        JSON,
    ),
    notes=(
        f"KEY is {', '.join(KEYS[:7])},\n{', '.join(KEYS[7:])}. Several values of one KEY mean any of them, several\n"
        "labels all of them. A name is a part of it, or a regular expression: ^web$ is that one alone."
    ),
)


def run(arguments: Arguments, client: Client) -> int:
    if arguments.operands:
        raise UsageError(
            f"ps takes no names, but got {arguments.operands[0]!r}; use --filter name=^{arguments.operands[0]}$"
        )
    containers = found(arguments, client)
    containers.sort(key=lambda c: c.get("CreateTimestamp", 0), reverse=True)
    shown = containers[: last(arguments)]
    if sized(arguments):
        measure(shown, client)
    put_long(listing(shown, arguments), arguments)
    return 0


def last(arguments: Arguments) -> int | None:
    """How many of the newest; None is all."""
    return 1 if arguments.get("latest") else arguments.get("last")


def found(arguments: Arguments, client: Client) -> list[dict[str, Any]]:
    """What the service does not choose by itself is chosen here."""
    containers, filters = listed(arguments, client), arguments.get("filter", ())
    if all(key in OF_SERVICE for key, _ in filters):
        return containers
    from ..choice import chosen

    states = states_of(arguments)
    return [each for each in chosen(containers, filters) if not states or each["State"] in states]


def sized(arguments: Arguments) -> bool:
    return bool(arguments.get("size")) or "{{.Size}}" in style_of(arguments).replace(" ", "")


def measure(containers: list[dict[str, Any]], client: Client) -> None:
    """What each has changed, in bytes."""
    usage = client.manager("GetDiskUsage", "t", 0)[0]
    sizes = {each["Id"][1]: each["Size"][1] for each in usage}
    for container in containers:
        container["Size"] = sizes.get(container["Id"], 0)


def values(arguments: Arguments, wanted: str) -> list[str]:
    """What the filter says of `wanted`."""
    return [value for key, value in arguments.get("filter", ()) if key == wanted]


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


def states_of(arguments: Arguments) -> list[str]:
    """Of the containers that are shown; none is any. Naming a state is asking for it, so it needs no -a."""
    states = values(arguments, "state")
    if not states and values(arguments, "exited"):
        return ["exited", "restarting"]
    if not states and not arguments.get("all") and last(arguments) is None:
        return ACTIVE
    return states


def asked_for(arguments: Arguments) -> dict[str, tuple[str, list[str]]]:
    """The filter as the service takes it. One that before and since name may be in any state."""
    states = states_of(arguments)
    chosen = {
        "States": [] if values(arguments, "before") or values(arguments, "since") else states,
        "Labels": values(arguments, "label"),
        "Properties": needed(arguments, states),
    }
    return {key: ("as", value) for key, value in chosen.items() if value}


def needed(arguments: Arguments, states: list[str]) -> list[str]:
    """The properties that are shown; none is all of them. states: of the containers; none is any."""
    style = style_of(arguments)
    in_table = IN_TABLE if states and "exited" not in states else (*IN_TABLE, *OF_ENDED)
    chosen_by = needed_to_choose(arguments)
    if style in ("ids", "table"):
        return list(dict.fromkeys((*(IN_IDS if style == "ids" else in_table), *chosen_by)))
    if style == "json":
        return []
    from ..template import fields_of  # not for those who have none

    named = fields_of(style)
    return [] if "" in named else sorted({*in_table, *chosen_by, *named}.difference(OF_PEOPLE))


def needed_to_choose(arguments: Arguments) -> list[str]:
    keys = [key for key, _ in arguments.get("filter", ()) if key not in OF_SERVICE]
    if not keys:
        return []
    from ..choice import NEEDS

    return ["State", *(name for key in keys for name in NEEDS[key])]


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
        heads = (*HEADS, "SIZE") if arguments.get("size") else HEADS
        return table(heads, [row(c, owners, now, whole=whole) for c in containers], () if whole else GIVE)
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
        *((fields["Size"],) if "Size" in container else ()),
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


def size_of(container: dict[str, Any]) -> dict[str, str]:
    if "Size" not in container:
        return {}
    from ..sizes import readable

    return {"Size": readable(container["Size"])}


def calendar(microseconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(microseconds / 1_000_000))


def for_people(container: dict[str, Any], owners: dict[int, str], now: float, *, whole: bool) -> dict[str, str]:
    """What the table shows and the bus does not say in these words; templates may use it too."""
    made = since(container.get("CreateTimestamp", 0), now) + " ago"
    return {
        "ID": short_id(container, whole=whole),
        "Names": container["Name"],
        "Owner": owners[container["OwnerUID"]],
        "Status": status(container, now),
        "Created": made,
        "RunningFor": made,
        "CreatedAt": calendar(container.get("CreateTimestamp", 0)),
        **size_of(container),
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
