# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl prune: the caller's own containers that have ended go; none that runs, waits or was never started."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..client import CONTAINER, Call
from ..failures import MCTL, Failure, UsageError
from ..names import named, path_of
from ..output import complain, put
from ..parser import Option, Verb

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

MEANWHILE = (MCTL + "NoSuchContainer", MCTL + "AlreadyRunning", "org.freedesktop.DBus.Error.UnknownObject")
VOLUMES = 2

VERB = Verb(
    usage="[OPTION...]",
    options=(
        Option(("-v", "--volumes"), "with their volumes that have no name"),
        Option(("-f", "--force"), "accepted and ignored: nothing is asked"),
    ),
    notes="Removes containers of yours that have ended; those that start at boot stay.",
)


def run(arguments: Arguments, client: Client) -> int:
    if arguments.operands:
        raise UsageError(f"prune takes no names, but got {arguments.operands[0]!r}: `mctl rm` removes by name")
    status, flags = 0, VOLUMES if arguments.get("volumes") else 0
    for container in candidates(client):
        try:
            client.call(Call(path_of(container["Name"]), CONTAINER, "Remove", "t", flags))
        except Failure as error:
            if error.name not in MEANWHILE:
                complain(named(container["Name"], error))
                status = 1
            continue
        put(f"{container['Name']}\n")
    return status


def candidates(client: Client) -> list[dict[str, Any]]:
    chosen = {
        "States": ("as", ["exited"]), "OwnerUID": ("u", os.getuid()), "Properties": ("as", ["Name", "Enabled"]),
    }  # fmt: skip
    return [each for each in client.containers(chosen) if not each["Enabled"]]
