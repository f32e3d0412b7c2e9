# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl create."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..creation import LATER, OPTIONS, check_operands, container_options
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
    later=LATER,
)


def run(arguments: Arguments, client: Client) -> int:
    check_operands(arguments, "create")
    options = container_options(arguments, origin_options(arguments))
    _path, identity = made(arguments, client, "CreateContainer", "sa{sv}t", arguments.get("name", ""), options, 0)
    put(f"{identity}\n")
    return 0
