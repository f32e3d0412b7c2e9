# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl run: in the foreground the container's output and exit status become this command's own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..creation import LATER, OPTIONS, check_operands, container_options
from ..failures import UsageError
from ..output import complain, put
from ..parser import Option, Verb
from ..stdio import Input, open_rootfs

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

ATTACH = 1
MCTL_FAILED = 125

VERB = Verb(
    usage="[OPTION...] ROOTFS COMMAND [ARG...]",
    options=(
        Option(("-d", "--detach"), "leave it running and print its id"),
        Option(("-i", "--interactive"), "pass on standard input"),
        *OPTIONS,
    ),
    notes=(
        "The exit status is the command's own; 128 + N if signal N killed it; 125 if mctl failed, 126 if the\n"
        "command cannot be executed, 127 if there is none. --swap counts memory and swap together."
    ),
    operands_end_options=True,
    descriptors=True,
    failure_status=MCTL_FAILED,
    later=LATER,
)


def run(arguments: Arguments, client: Client) -> int:
    check_operands(arguments, "run")
    detached = bool(arguments.get("detach"))
    given = Input.of_caller() if arguments.get("interactive") else None
    if given and given.feed is not None and detached:
        raise UsageError("-i with -d cannot pass on a terminal: redirect standard input from a file or a pipe")
    options = container_options(arguments, open_rootfs(arguments.operands[0]))
    if given:
        options["Stdin"] = ("h", given.given)
    path, identity, streams, warnings = client.manager(
        "RunContainer", "sa{sv}t", arguments.get("name", ""), options, 0 if detached else ATTACH
    )
    os.close(options["Rootfs"][1])
    for warning in warnings if not arguments.get("quiet") else ():
        complain(warning)
    if given:
        given.sent()
    if detached:
        put(f"{identity}\n")
        return 0
    how, status = attend(client, path, identity, [stream.to_raw_fd() for stream in streams], given)
    return exit_status(how, status, identity, quiet=bool(arguments.get("quiet")))


def attend(client: Client, path: str, identity: str, streams: list[int], given: Input | None) -> Any:
    """Relays until the end of the run."""
    from .. import relay

    return relay.attend(client, relay.container(path, identity), streams, feed=given.feed if given else None)


def exit_status(how: str, status: int, identity: str, *, quiet: bool) -> int:
    if how == "exited":
        return status
    if how in ("killed", "oom"):
        if how == "oom" and not quiet:
            complain(f"container {identity[:12]} was killed for want of memory; --memory sets its limit")
        return 128 + status
    complain(f"how container {identity[:12]} ended is not known ({how}); `mctl ps -a` and `mctl logs` may tell more")
    return MCTL_FAILED
