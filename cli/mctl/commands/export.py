# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl export."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..client import CONTAINER, Call
from ..destination import put_archive
from ..failures import UsageError
from ..names import call_on
from ..parser import Option, Verb

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

VERB = Verb(
    usage="[OPTION...] NAME",
    options=(
        Option(("-o", "--output"), "a file in place of standard output", value="FILE"),
        Option(("--pause",), "freeze it meanwhile, as is done without it too; --pause=false does not"),
    ),
    notes="A tar archive of all that the container shows, but for volumes and other mounts; `mctl import` reads it.",
)


def run(arguments: Arguments, client: Client) -> int:
    if len(arguments.operands) != 1:
        raise UsageError("one container must be named: mctl export [-o FILE] NAME")
    (name,) = arguments.operands
    options = {"Pause": ("b", False)} if arguments.get("pause") is False else {}
    put_archive(
        arguments.get("output"),
        lambda output: call_on(client, name, Call("", CONTAINER, "Export", "ha{sv}t", output, options, 0)),
    )
    return 0
