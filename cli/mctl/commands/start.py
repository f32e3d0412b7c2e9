# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..client import CONTAINER, PROPERTIES, Call, unwrapped
from ..each import already, do_to_each
from ..failures import MCTL, Failure, UsageError
from ..front import DETACH_KEYS, Front
from ..names import call_on
from ..parser import Option, Verb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..client import Client
    from ..parser import Arguments

VERB = Verb(
    usage="[OPTION...] NAME...",
    options=(
        Option(("-a", "--attach"), "in the foreground, as with run; one container only"),
        Option(("-i", "--interactive"), "with -a: pass on standard input"),
        DETACH_KEYS,
    ),
    notes=(
        "One that runs is started already; -a then shows what it prints from now on. With -a the exit status is the\n"
        "command's own, as with run."
    ),
)
RUNNING = already(MCTL + "AlreadyRunning", "running")


def run(arguments: Arguments, client: Client) -> int:
    if arguments.get("attach"):
        return attached(arguments, client)
    if arguments.get("interactive"):
        raise UsageError("-i passes on standard input, which takes -a: mctl start -a -i NAME")
    return do_to_each(arguments, client, "Start", "t", 0, satisfied=RUNNING)


def attached(arguments: Arguments, client: Client) -> int:
    if len(arguments.operands) != 1:
        raise UsageError("start -a takes one container: its output and exit status become this command's own")
    about = Call("", PROPERTIES, "GetAll", "s", CONTAINER)
    found = unwrapped(call_on(client, arguments.operands[0], about)[0])
    if found["State"] == "running":
        return joined(arguments, client, about.path, found)
    front = Front(arguments, terminal=found["Terminal"])
    try:
        (streams,) = client.call(Call(about.path, CONTAINER, "StartAttached", "a{sv}t", front.options(), 0))
    except Failure as error:
        if RUNNING(client, arguments.operands[0], error) is None:
            raise
        return joined(arguments, client, about.path, found)  # somebody else was first
    front.sent()
    return front.attend(client, about.path, found["Id"], streams)


def joined(arguments: Arguments, client: Client, path: str, found: Mapping[str, Any]) -> int:
    """One that runs already, as docker and podman do it: who attaches need not know who was first."""
    if arguments.get("interactive") and not found["Terminal"]:
        settled = "where its input comes from was settled at its start"
        raise Failure(f"{found['Name']} runs already, and {settled}: leave out -i", status=client.failure_status)
    front = Front(arguments, terminal=found["Terminal"])
    (streams,) = client.call(Call(path, CONTAINER, "Attach", "t", 0))
    return front.attend(client, path, found["Id"], streams)
