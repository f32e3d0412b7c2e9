# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl net: whom a container may talk to and where it may listen, also while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..client import CONTAINER, PROPERTIES, Call, unwrapped
from ..failures import UsageError
from ..formats import JSON
from ..names import call_on
from ..output import put, to_json
from ..parser import Option, Verb

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

LISTS = {"deny": "IPAddressDeny", "allow": "IPAddressAllow", "no_bind": "SocketBindDeny"}
ANY = ["0.0.0.0/0", "::/0"]
NONE = "none"

VERB = Verb(
    usage="[OPTION...] NAME",
    options=(
        Option(("--deny",), "nothing to or from there", value="ADDRESS[/PREFIX]|any|none", repeat=True),
        Option(("--allow",), "but this, whatever is denied", value="ADDRESS[/PREFIX]|none", repeat=True),
        Option(("--no-bind",), "it may not listen there", value="[tcp:|udp:]PORT[-PORT]|none", repeat=True),
        JSON,
    ),
    notes="What is given replaces all of its kind, none takes that back. Shows what holds then, and at later starts.",
)


def run(arguments: Arguments, client: Client) -> int:
    if len(arguments.operands) != 1:
        raise UsageError(f"net takes one name, but got {len(arguments.operands)}")
    (name,) = arguments.operands
    given = arguments.options
    changes = {bus: ("as", listed(key, given[key])) for key, bus in LISTS.items() if key in given}
    if changes:
        call_on(client, name, Call("", CONTAINER, "Update", "a{sv}t", changes, 0))
    (found,) = call_on(client, name, Call("", PROPERTIES, "GetAll", "s", CONTAINER))
    held, style = unwrapped(found), arguments.get("json", "off")
    chosen = {bus: held[bus] for bus in LISTS.values()}
    put(shown(held) if style == "off" else to_json(chosen, pretty=style == "pretty"))
    return 0


def listed(key: str, given: list[str]) -> list[str]:
    if NONE not in given:
        return given
    if len(given) > 1:
        raise UsageError(f"--{key.replace('_', '-')} {NONE} goes with no other: {', '.join(given)} were given")
    return []


def shown(found: dict[str, Any]) -> str:
    """As it would be asked for, a line for each entry."""
    lines = []
    for key, bus in LISTS.items():
        entries = list(found[bus])
        if set(ANY) <= set(entries):
            entries = ["any", *(entry for entry in entries if entry not in ANY)]
        lines += [f"{key.replace('_', '-')} {entry}\n" for entry in entries]
    return "".join(lines)
