# SPDX-License-Identifier: GPL-3.0-or-later
"""One thing done to each of many containers, side by side; a failure is named and does not stop the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .client import CONTAINER, PROPERTIES, Call
from .failures import NO_SUCH, Failure, UsageError
from .names import by_id, call_on, found_by_id, is_name, named, path_of
from .output import complain, put

if TYPE_CHECKING:
    from collections.abc import Callable

    from .client import Client
    from .parser import Arguments

    # Of a container by its name that was refused: what is printed if it is as it was to become, None if it is not.
    Satisfied = Callable[[Client, str, Failure], str | None]

AT_ONCE = 16  # the service bounds the calls in flight of one client


def do_to_each(
    arguments: Arguments, client: Client, member: str, signature: str, *body: object, satisfied: Satisfied | None = None
) -> int:
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
            status = max(status, _finish(client, name, call, satisfied, is_known=is_known))
    return status


def already(error: str, *states: str) -> Satisfied:
    """For verbs that say how it shall be, as with docker and podman: the call failed so, since it is in such a state.

    The error alone does not say it: what is paused cannot be started either.
    """

    def satisfied(client: Client, name: str, refused: Failure) -> str | None:
        return f"{name}\n" if refused.name == error and _state(client, name) in states else None

    return satisfied


def _state(client: Client, name: str) -> str:
    """Empty where it cannot be known."""
    try:
        with client.unasked():
            (found,) = call_on(client, name, Call("", PROPERTIES, "Get", "ss", CONTAINER, "State"))
    except Failure:
        return ""
    return str(found[1])


def _finish(client: Client, name: str, call: Call, satisfied: Satisfied | None, *, is_known: bool) -> int:
    try:
        _result(client, name, call, is_known=is_known)
    except Failure as error:
        printed = satisfied(client, name, error) if satisfied else None
        if printed is None:
            complain(named(name, error))
            return 1
        put(printed)
        return 0
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
