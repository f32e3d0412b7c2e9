# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl volume: make, list, show and remove volumes."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from ..client import PROPERTIES, VOLUME, Call, unwrapped
from ..failures import MCTL, Failure, UsageError
from ..formats import JSON
from ..labels import label
from ..names import named
from ..output import complain, put, span, table, to_json
from ..pager import put_long
from ..parser import ACTIONS as SYNONYMS
from ..parser import Option, Verb

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..client import Client
    from ..parser import Arguments

HEADS = ("VOLUME", "OWNER", "CREATED", "CONTAINERS")
IN_USE = MCTL + "VolumeInUse"
MISSING = MCTL + "NoSuchVolume"

VERB = Verb(
    usage="create|ls|inspect|rm|prune [OPTION...] [NAME...]",
    options=(
        Option(("-l", "--label"), "create: a note of your own", value="K=V", convert=label, repeat=True),
        Option(("-a", "--all"), "prune: also those with names"),
        Option(("-f", "--force"), "rm: those that are not there are no failure; prune: ignored, nothing is asked"),
        Option(("-q", "--quiet"), "ls: only names"),
        JSON,
    ),
    notes="prune removes your volumes without a name that no container has. create without a name makes such a one.",
)


def run(arguments: Arguments, client: Client) -> int:
    typed, *names = arguments.operands or [""]
    action = SYNONYMS.get(typed, typed)
    if action not in ACTIONS:
        given = f"{action!r} is not known" if action else "nothing was asked for"
        raise UsageError(f"{given}: give one of {', '.join(ACTIONS)}")
    act, allowed, least, most = ACTIONS[action]
    unfit = [f"--{key}" for key in arguments.options if key in OWN and key not in allowed]
    if unfit:
        raise UsageError(f"volume {action} takes no {unfit[0]}")
    if len(names) < least:
        raise UsageError(f"volume {action} needs a name; `mctl volume ls` lists them")
    if most is not None and len(names) > most:
        raise UsageError(f"volume {action} takes " + (f"one name, but got {', '.join(names)}" if most else "no names"))
    return act(arguments, names, client)


def create(arguments: Arguments, names: list[str], client: Client) -> int:
    options: dict[str, tuple[str, Any]] = {}
    if "label" in arguments.options:
        options["Labels"] = ("a{ss}", dict(arguments.options["label"]))
    _, called = client.manager("CreateVolume", "sa{sv}t", names[0] if names else "", options, 0)
    put(f"{called}\n")
    return 0


def ls(arguments: Arguments, _: list[str], client: Client) -> int:
    found = listed(client)
    if arguments.get("quiet"):
        put("".join(f"{display(volume)}\n" for volume in found))
    elif arguments.get("json", "off") != "off":
        put_long(to_json(found, pretty=arguments.get("json") == "pretty"), arguments)
    else:
        put_long(table(HEADS, [row(volume) for volume in found], ("CONTAINERS",)), arguments)
    return 0


def row(volume: dict[str, Any]) -> tuple[str, ...]:
    from ..owners import owner_name

    age = f"{span(time.time() - volume['CreateTimestamp'] / 1_000_000)} ago"
    return display(volume), owner_name(volume["OwnerUID"]), age, " ".join(volume["Containers"])


def inspect(arguments: Arguments, names: list[str], client: Client) -> int:
    def show(name: str) -> None:
        (path,) = client.manager("GetVolume", "s", name)
        reply = client.call(Call(path, PROPERTIES, "GetAll", "s", VOLUME))
        put(to_json(unwrapped(reply[0]), pretty=arguments.get("json", "pretty") != "short"))

    return each(names, show)


def rm(arguments: Arguments, names: list[str], client: Client) -> int:
    def unless_gone(name: str) -> None:
        try:
            remove(name, client)
        except Failure as error:
            if not arguments.get("force") or error.name != MISSING:
                raise

    return each(names, unless_gone)


def prune(arguments: Arguments, _: list[str], client: Client) -> int:
    """Of the caller's own, who may be root. One that has come into use meanwhile stays."""
    mine = [volume for volume in listed(client) if volume["OwnerUID"] == os.getuid() and not volume["Containers"]]
    unused = [volume["Id"] for volume in mine if arguments.get("all") or not volume["Name"]]

    def unless_used(identity: str) -> None:
        try:
            remove(identity, client)
        except Failure as error:
            if error.name != IN_USE:
                raise

    return each(unused, unless_used)


def remove(name: str, client: Client) -> None:
    (path,) = client.manager("GetVolume", "s", name)
    client.call(Call(path, VOLUME, "Remove", "t", 0))
    put(f"{name}\n")


def display(volume: dict[str, Any]) -> str:
    return str(volume["Name"] or volume["Id"])


def listed(client: Client) -> list[dict[str, Any]]:
    (found,) = client.manager("ListVolumes", "t", 0)
    return [unwrapped(each) for each in found]


def each(names: list[str], do: Callable[[str], None]) -> int:
    """A failure is named and does not stop the others."""
    status = 0
    for name in dict.fromkeys(names):
        try:
            do(name)
        except Failure as error:
            complain(named(name, error))
            status = 1
    return status


ACTIONS: dict[str, tuple[Callable[..., int], tuple[str, ...], int, int | None]] = {
    # what to do, its own options, the least and the most names
    "create": (create, ("label",), 0, 1),
    "ls": (ls, ("quiet", "json"), 0, 0),
    "inspect": (inspect, ("json",), 1, None),
    "rm": (rm, ("force",), 1, None),
    "prune": (prune, ("all", "force"), 0, 0),
}
OWN = ("label", "all", "force", "quiet", "json")
