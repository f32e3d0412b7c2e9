# SPDX-License-Identifier: GPL-3.0-or-later
"""One thing done to each of many containers, side by side; a failure is named and does not stop the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .client import CONTAINER, Call
from .failures import NO_SUCH, Failure, UsageError
from .names import by_id, is_name, named, path_of
from .output import complain, put

if TYPE_CHECKING:
    from .client import Client
    from .parser import Arguments

AT_ONCE = 16  # the service bounds the calls in flight of one client


def do_to_each(arguments: Arguments, client: Client, member: str, signature: str, *body: object) -> int:
    """Calls `member` on every container named; prints the name of each that it worked for."""
    names = list(dict.fromkeys(arguments.operands))
    if not names:
        raise UsageError("no container was named; `mctl ps -a` lists them")
    status = 0
    for begin in range(0, len(names), AT_ONCE):
        calls = [(name, Call(path_of(name), CONTAINER, member, signature, *body)) for name in names[begin:][:AT_ONCE]]
        for name, call in calls:
            if is_name(name):
                client.send(call)
        for name, call in calls:
            status = max(status, _finish(client, name, call))
    return status


def _finish(client: Client, name: str, call: Call) -> int:
    try:
        _result(client, name, call)
    except Failure as error:
        complain(named(name, error))
        return 1
    put(f"{name}\n")
    return 0


def _result(client: Client, name: str, call: Call) -> None:
    try:
        if is_name(name):
            client.result(call)
            return
    except Failure as error:
        if error.name not in NO_SUCH:
            raise
    by_id(client, name, call)
