# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl wait: the exit statuses of containers, when they have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..client import MANAGER, ROOT, Call
from ..failures import Failure, UsageError
from ..names import named
from ..output import complain, put
from ..parser import Verb

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

AT_ONCE = 16  # the service bounds the calls in flight of one client

VERB = Verb(
    usage="NAME...",
    options=(),
    notes="Prints a line for each: the exit status, or 128 + N if signal N killed it.",
)


def run(arguments: Arguments, client: Client) -> int:
    names = arguments.operands
    if not names:
        raise UsageError("no container was named; `mctl ps` lists those that run")
    failed = False
    for begin in range(0, len(names), AT_ONCE):
        calls = [(name, Call(ROOT, MANAGER, "WaitContainer", "s", name)) for name in names[begin:][:AT_ONCE]]
        for _, call in calls:
            client.send(call)
        for name, call in calls:
            failed |= not told(client, name, call)
    return int(failed)


def told(client: Client, name: str, call: Call) -> bool:
    try:
        how, status = client.result(call)
    except Failure as error:
        complain(named(name, error))
        return False
    if how not in ("exited", "killed", "oom"):
        complain(f"{name}: it has no exit status ({how})")
        return False
    put(f"{status if how == 'exited' else 128 + status}\n")
    return True
