# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl exec: in the foreground the command's output and exit status become this command's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..client import CONTAINER, Call
from ..creation import directory, environment_of, user, variable, variables_of_file
from ..failures import UsageError
from ..names import call_on
from ..output import complain, put
from ..parser import Option, Verb
from ..stdio import Input

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

ATTACH = 1
MCTL_FAILED = 125

VERB = Verb(
    usage="[OPTION...] NAME COMMAND [ARG...]",
    options=(
        Option(("-d", "--detach"), "do not wait; its output goes to the journal"),
        Option(("-i", "--interactive"), "pass on standard input"),
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
    descriptors=True,
    failure_status=MCTL_FAILED,
    later=frozenset(("-t", "--tty", "--privileged", "--detach-keys", "--preserve-fds", "-l", "--latest")),
)


def run(arguments: Arguments, client: Client) -> int:
    if len(arguments.operands) < 2 or not arguments.operands[1]:
        raise UsageError("mctl exec needs a container and a command, as in `mctl exec NAME /bin/ps`")
    detached = bool(arguments.get("detach"))
    given = Input.of_caller() if arguments.get("interactive") else None
    if given and given.feed is not None and detached:
        raise UsageError("-i with -d cannot pass on a terminal: redirect standard input from a file or a pipe")
    name, *command = arguments.operands
    call = Call("", CONTAINER, "Exec", "asa{sv}t", command, asked_for(arguments, given), 0 if detached else ATTACH)
    path, streams = call_on(client, name, call)
    if given:
        given.sent()
    if detached:
        put(f"{path.rpartition('/')[2]}\n")
        return 0
    return attend(client, path, [stream.to_raw_fd() for stream in streams], given)


def asked_for(arguments: Arguments, given: Input | None) -> dict[str, tuple[str, Any]]:
    found: dict[str, tuple[str, Any]] = {}
    if "user" in arguments.options:
        found["User"] = ("s", arguments.options["user"])
    if "workdir" in arguments.options:
        found["WorkingDirectory"] = ("s", arguments.options["workdir"])
    environment = environment_of(arguments)
    if environment:
        found["Environment"] = ("as", environment)
    if given:
        found["Stdin"] = ("h", given.given)
    return found


def attend(client: Client, path: str, streams: list[int], given: Input | None) -> int:
    from .. import relay

    how, status = relay.attend(client, relay.executed(path), streams, feed=given.feed if given else None)
    if how == "exited":
        return status
    if how == "killed":
        return 128 + status
    complain(f"how the command ended is not known ({how})")
    return MCTL_FAILED
