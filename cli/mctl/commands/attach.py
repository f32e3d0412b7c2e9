# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl attach: a container that runs already, in the foreground."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..client import CONTAINER, PROPERTIES, Call, unwrapped
from ..failures import UsageError
from ..front import DETACH_KEYS, MCTL_FAILED, Front
from ..names import call_on
from ..parser import Option, Verb

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

VERB = Verb(
    usage="[OPTION...] NAME",
    options=(
        Option(("--no-stdin",), "only look: what is typed does not go in"),
        DETACH_KEYS,
    ),
    notes="The exit status is the container's, as with run; 0 after the keys that leave.",
    failure_status=MCTL_FAILED,
)


def run(arguments: Arguments, client: Client) -> int:
    if len(arguments.operands) != 1:
        raise UsageError("attach needs the name of one container; `mctl ps` lists those that run")
    about = Call("", PROPERTIES, "GetAll", "s", CONTAINER)
    found = unwrapped(call_on(client, arguments.operands[0], about)[0])
    keyboard = found["Terminal"] and not arguments.get("no_stdin")
    front = Front(arguments, terminal=found["Terminal"], interactive=keyboard)
    (streams,) = client.call(Call(about.path, CONTAINER, "Attach", "t", 0))
    return front.attend(client, about.path, found["Id"], streams)
