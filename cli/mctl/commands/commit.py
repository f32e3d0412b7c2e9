# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import changes
from ..client import CONTAINER, Call
from ..failures import UsageError
from ..names import call_on
from ..output import complain, put
from ..parser import Option, Verb

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

VERB = Verb(
    usage="[OPTION...] NAME [IMAGE[:TAG]]",
    options=(
        Option(("-c", "--change"), 'as CMD ["/bin/sh"]', value="INSTR", convert=changes.change, repeat=True),
        Option(("-m", "--message"), "a note for its history", value="TEXT"),
        Option(("-a", "--author"), "who made it", value="TEXT"),
        Option(("-p", "--pause"), "freeze it meanwhile, as is done without it too; --pause=false does not"),
        Option(("--private",), "for root: do not share it with other users"),
        Option(("-q", "--quiet"), "only the id"),
    ),
    notes=(
        "The image has the container's command, variables, user and so on, unless --change says otherwise. Volumes\n"
        "and other mounts are not in it. Prints the id.\n"
        f"--change takes {changes.KNOWN}."
    ),
)


def run(arguments: Arguments, client: Client) -> int:
    if not 1 <= len(arguments.operands) <= 2:
        raise UsageError("a container must be named, and perhaps the image: mctl commit NAME [IMAGE[:TAG]]")
    container, *names = arguments.operands
    options = changes.options(arguments.get("change", []))
    for key, bus in (("message", "Comment"), ("author", "Author")):
        if key in arguments.options:
            options[bus] = ("s", arguments.options[key])
    for key, bus in (("pause", "Pause"), ("private", "Private")):
        if key in arguments.options:
            options[bus] = ("b", arguments.options[key])
    if names:
        options["Name"] = ("s", names[0])
    _path, identity, warnings = call_on(client, container, Call("", CONTAINER, "Commit", "a{sv}t", options, 0))
    for warning in warnings if not arguments.get("quiet") else ():
        complain(warning)
    put(f"{identity}\n")
    return 0
