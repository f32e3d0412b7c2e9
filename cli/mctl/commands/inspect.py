# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl inspect: every property the service publishes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..client import CONTAINER, PROPERTIES, Call, unwrapped
from ..failures import Failure, UsageError
from ..formats import JSON, truth
from ..names import call_on, named
from ..output import complain, on_terminal, to_json
from ..pager import put_long
from ..parser import Option, Verb
from ..template import render

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

VERB = Verb(
    usage="[OPTION...] NAME...",
    options=(
        Option(("-f", "--format"), "a template in place of JSON, as '{{.MainPID}}'", value="TEMPLATE"),
        Option(("--pretty",), "false: one line a container", value="true|false", convert=truth, implied="true"),
        JSON,
    ),
    notes="Prints one JSON object a name. null stands for no limit; times are microseconds since the epoch.",
)


def run(arguments: Arguments, client: Client) -> int:
    if not arguments.operands:
        raise UsageError("no container was named; `mctl ps -a` lists them")
    status, found = 0, []
    for name in arguments.operands:
        try:
            reply = call_on(client, name, Call("", PROPERTIES, "GetAll", "s", CONTAINER))
        except Failure as error:
            complain(named(name, error))
            status = 1
        else:
            found.append(shown(unwrapped(reply[0]), arguments))
    put_long("".join(found), arguments)
    return status


def shown(container: dict[str, object], arguments: Arguments) -> str:
    template = arguments.get("format", "json")
    if template != "json":
        return on_terminal(render(template, container))
    pretty = arguments.get("pretty", arguments.get("json", "pretty") != "short")
    return to_json(container, pretty=pretty)
