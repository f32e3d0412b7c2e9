# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl create."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..creation import OPTIONS, check_operands, container_options
from ..idfile import IdFile
from ..origin import made, origin_options
from ..output import put
from ..parser import Option, Verb

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

VERB = Verb(
    usage="[OPTION...] IMAGE|DIRECTORY [COMMAND [ARG...]]",
    options=(Option(("-i", "--interactive"), "accepted for docker's sake: start -i says it"), *OPTIONS),
    notes="Prints the id. `mctl start` starts it.",
    operands_end_options=True,
    failure_status=125,
)


def run(arguments: Arguments, client: Client) -> int:
    check_operands(arguments, "create")
    with IdFile(arguments) as idfile:
        options = container_options(arguments, origin_options(arguments))
        if arguments.get("publish_all"):
            from ..exposure import with_exposed  # rarely wanted

            options = with_exposed(arguments, client, options)
        _path, identity = made(arguments, client, "CreateContainer", "sa{sv}t", arguments.get("name", ""), options, 0)
        idfile.write(identity)
    put(f"{identity}\n")
    return 0
