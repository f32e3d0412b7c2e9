# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl rmi."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..client import IMAGE, Call
from ..failures import MISSING, Failure, UsageError
from ..images import meant, path_of, properties
from ..names import named
from ..output import complain, put
from ..parser import Option, Verb

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

FORCE = 1

VERB = Verb(
    usage="[OPTION...] NAME...",
    options=(Option(("-f", "--force"), "also where containers were made from it; what is not there is no failure"),),
    notes="One of several names is taken away; with the last one, or by its id, the image goes.",
)


def run(arguments: Arguments, client: Client) -> int:
    if not arguments.operands:
        raise UsageError("no image was named; `mctl images` lists them")
    status, force = 0, bool(arguments.get("force"))
    for text in dict.fromkeys(arguments.operands):
        try:
            put(f"{remove(client, text, force=force)}\n")
        except Failure as error:
            if force and error.name in MISSING:
                continue
            complain(named(text, error))
            status = 1
    return status


def remove(client: Client, text: str, *, force: bool) -> str:
    """What is gone."""
    path = path_of(client, text)
    found = properties(client, path)
    name = meant(text, found["Names"])
    if name and len(found["Names"]) > 1:
        client.call(Call(path, IMAGE, "Untag", "st", name, 0))
        return name
    client.call(Call(path, IMAGE, "Remove", "t", FORCE if force else 0))
    return name or str(found["Id"])
