# SPDX-License-Identifier: GPL-3.0-or-later
"""One thing done to each of many containers, side by side; a failure is named and does not stop the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .client import CONTAINER, Call
from .failures import NO_SUCH, Failure, UsageError
from .names import by_id, found_by_id, is_name, named, path_of
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
        some = [(name, found_by_id(client, name)) for name in names[begin:][:AT_ONCE]]
        calls = [
            (name, Call(found or path_of(name), CONTAINER, member, signature, *body), bool(found) or is_name(name))
            for name, found in some
        ]
        for _, call, is_known in calls:
            if is_known:
                client.send(call)
        for name, call, is_known in calls:
            status = max(status, _finish(client, name, call, is_known=is_known))
    return status


def _finish(client: Client, name: str, call: Call, *, is_known: bool) -> int:
    try:
        _result(client, name, call, is_known=is_known)
    except Failure as error:
        complain(named(name, error))
        return 1
    put(f"{name}\n")
    return 0


def _result(client: Client, name: str, call: Call, *, is_known: bool) -> None:
    try:
        if is_known:
            client.result(call)
            return
    except Failure as error:
        if error.name not in NO_SUCH:
            raise
    by_id(client, name, call)
