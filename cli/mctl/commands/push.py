# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl push."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..access import ACCESS
from ..failures import UsageError
from ..output import put
from ..parser import Option, Verb
from ..transfers import push

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

VERB = Verb(
    usage="[OPTION...] IMAGE [REGISTRY/NAME[:TAG]]",
    options=(*ACCESS, Option(("-q", "--quiet"), "no progress, only the digest")),
    notes="Under its own name if no other is given. Prints the digest that the registry knows it by.",
)


def run(arguments: Arguments, client: Client) -> int:
    if len(arguments.operands) not in (1, 2):
        raise UsageError("an image must be named, and perhaps a name at a registry: mctl push IMAGE [REGISTRY/NAME]")
    image, name = arguments.operands[0], arguments.operands[-1]
    put(f"{push(arguments, client, image, name)}\n")
    return 0
