# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl pull."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..access import ACCESS
from ..failures import UsageError
from ..output import put
from ..parser import Option, Verb
from ..transfers import pull

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

VERB = Verb(
    usage="[OPTION...] REGISTRY/NAME[:TAG]",
    options=(
        *ACCESS,
        Option(("--platform",), "for which machine, as linux/arm64", value="PLATFORM"),
        Option(("--private",), "for root: do not share it with other users"),
        Option(("-q", "--quiet"), "no progress, only the id"),
    ),
    notes="The name says which registry, as docker.io/library/nginx: none is guessed. Prints the image's id.",
)


def run(arguments: Arguments, client: Client) -> int:
    if len(arguments.operands) != 1:
        raise UsageError("one image must be named: mctl pull REGISTRY/NAME[:TAG]")
    put(f"{pull(arguments, client, arguments.operands[0])}\n")
    return 0
