# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl run: in the foreground the container's output and exit status become this command's own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..creation import OPTIONS, check_operands, container_options
from ..front import DETACH_KEYS, Front
from ..idfile import IdFile
from ..origin import made, origin_options
from ..output import complain, put
from ..parser import Option, Verb

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

ATTACH = 1
MCTL_FAILED = 125

VERB = Verb(
    usage="[OPTION...] IMAGE|DIRECTORY [COMMAND [ARG...]]",
    options=(
        Option(("-d", "--detach"), "leave it running and print its id"),
        Option(("-i", "--interactive"), "pass on standard input"),
        DETACH_KEYS,
        *OPTIONS,
    ),
    notes=(
        "The exit status is the command's own; 128 + N if signal N killed it; 125 if mctl failed, 126 if the\n"
        "command cannot be executed, 127 if there is none. --swap counts memory and swap together."
    ),
    operands_end_options=True,
    failure_status=MCTL_FAILED,
)


def run(arguments: Arguments, client: Client) -> int:
    check_operands(arguments, "run")
    detached, front = bool(arguments.get("detach")), Front(arguments, terminal=bool(arguments.get("tty")))
    client.meanwhile = None if detached else front.prepare
    with IdFile(arguments) as idfile:
        options = container_options(arguments, origin_options(arguments)) | front.options()
        if arguments.get("publish_all"):
            from ..exposure import with_exposed  # rarely wanted

            options = with_exposed(arguments, client, options)
        path, identity, streams, warnings = made(
            arguments, client, "RunContainer", "sa{sv}t", arguments.get("name", ""), options, 0 if detached else ATTACH
        )
        idfile.write(identity)
    if "Rootfs" in options:
        os.close(options["Rootfs"][1])
    for warning in warnings if not arguments.get("quiet") else ():
        complain(warning)
    front.sent()
    if detached:
        put(f"{identity}\n")
        return 0
    return front.attend(client, path, identity, streams)
