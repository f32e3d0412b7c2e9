# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl system prune: what `mctl prune`, `network prune`, `image prune` and `volume prune` remove, in that order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..failures import UsageError
from ..parser import Arguments, Option, Verb
from . import image_prune, network, prune, volume

if TYPE_CHECKING:
    from ..client import Client

VERB = Verb(
    usage="[OPTION...]",
    options=(
        Option(("-a", "--all"), "also images with names that no container was made from"),
        Option(("-v", "--volumes"), "also volumes that have no name and that no container has"),
        Option(("-f", "--force"), "accepted and ignored: nothing is asked"),
    ),
    notes="Of yours: containers that have ended, networks that nothing is connected to, images without a name.\n"
    "Containers that start at boot, and volumes with names, stay. `mctl system df` shows what there is.",
)


def run(arguments: Arguments, client: Client) -> int:
    if arguments.operands:
        raise UsageError(f"system prune takes no names, but got {arguments.operands[0]!r}")
    status = prune.run(arguments, client)  # which takes --volumes too
    status |= network.prune(arguments, [], client)
    if arguments.get("volumes"):
        status |= volume.prune(Arguments({}, []), [], client)  # those with names are for `mctl volume prune -a` alone
    return status | image_prune.run(arguments, client)  # last: what containers were made from is free now
