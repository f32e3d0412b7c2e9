# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..client import CONTAINER, PROPERTIES, Call, unwrapped
from ..each import already, do_to_each
from ..failures import MCTL, UsageError
from ..front import DETACH_KEYS, Front
from ..names import call_on
from ..parser import Option, Verb

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

VERB = Verb(
    usage="[OPTION...] NAME...",
    options=(
        Option(("-a", "--attach"), "in the foreground, as with run; one container only"),
        Option(("-i", "--interactive"), "with -a: pass on standard input"),
        DETACH_KEYS,
    ),
    notes="One that runs is started already. With -a the exit status is the command's own, as with run.",
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
    front = Front(arguments, terminal=found["Terminal"])
    (streams,) = client.call(Call(about.path, CONTAINER, "StartAttached", "a{sv}t", front.options(), 0))
    front.sent()
    return front.attend(client, about.path, found["Id"], streams)
