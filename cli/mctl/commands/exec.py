# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl exec: in the foreground the command's output and exit status become this command's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..client import CONTAINER, Call
from ..execution import directory, environment_of, user, variable, variables_of_file
from ..failures import UsageError
from ..front import MCTL_FAILED, Front
from ..names import call_on
from ..output import put
from ..parser import Option, Verb

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

ATTACH = 1

VERB = Verb(
    usage="[OPTION...] NAME COMMAND [ARG...]",
    options=(
        Option(("-d", "--detach"), "do not wait; its output goes to the journal"),
        Option(("-i", "--interactive"), "pass on standard input"),
        Option(("-t", "--tty"), "give it a terminal of its own"),
        Option(("-u", "--user"), "who runs it, the container's if not given", value="USER[:GRP]", convert=user),
        Option(("-w", "--workdir"), "where it begins, the container's if not given", value="DIR", convert=directory),
        Option(("-e", "--env"), "set a variable, or pass on your own", value="K[=V]", convert=variable, repeat=True),
        Option(("--env-file",), "variables from a file", value="FILE", convert=variables_of_file, repeat=True),
    ),
    notes=(
        "The exit status is the command's own; 128 + N if signal N killed it; 125 if mctl failed, 126 if the\n"
        "command cannot be executed, 127 if there is none."
    ),
    operands_end_options=True,
    failure_status=MCTL_FAILED,
)


def run(arguments: Arguments, client: Client) -> int:
    if len(arguments.operands) < 2 or not arguments.operands[1]:
        raise UsageError("mctl exec needs a container and a command, as in `mctl exec NAME /bin/ps`")
    detached = bool(arguments.get("detach"))
    if detached and arguments.get("tty"):
        raise UsageError("-t with -d makes a terminal that nobody holds: leave one of them out")
    front = Front(arguments, terminal=bool(arguments.get("tty")))
    name, *command = arguments.operands
    asked = asked_for(arguments) | front.options()
    client.meanwhile = None if detached else front.prepare
    path, streams = call_on(
        client, name, Call("", CONTAINER, "Exec", "asa{sv}t", command, asked, 0 if detached else ATTACH)
    )
    front.sent()
    if detached:
        put(f"{path.rpartition('/')[2]}\n")
        return 0
    return front.attend_exec(client, path, streams)


def asked_for(arguments: Arguments) -> dict[str, tuple[str, Any]]:
    found: dict[str, tuple[str, Any]] = {}
    if "user" in arguments.options:
        found["User"] = ("s", arguments.options["user"])
    if "workdir" in arguments.options:
        found["WorkingDirectory"] = ("s", arguments.options["workdir"])
    environment = environment_of(arguments)
    if arguments.get("tty"):
        found["Terminal"] = ("b", True)
    if environment:
        found["Environment"] = ("as", environment)
    return found
