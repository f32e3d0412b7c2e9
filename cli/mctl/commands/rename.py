# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl rename."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..client import CONTAINER, Call
from ..failures import UsageError
from ..names import call_on, new_name
from ..parser import Verb

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

VERB = Verb(
    usage="NAME NEW-NAME",
    options=(),
    notes="Not while it runs, and not while it is started at boot.",
)


def run(arguments: Arguments, client: Client) -> int:
    if len(arguments.operands) != 2:
        raise UsageError("a container and a new name for it are needed: mctl rename NAME NEW-NAME")
    name, wanted = arguments.operands
    call_on(client, name, Call("", CONTAINER, "Rename", "st", new_name("the new name", wanted), 0))
    return 0
