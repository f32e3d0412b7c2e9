# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl image check."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..client import unwrapped
from ..failures import Failure
from ..names import named
from ..output import complain, put
from ..parser import Option, Verb
from ..repair import Damaged

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

VERB = Verb(
    usage="[OPTION...] [NAME...]",
    options=(Option(("--repair",), "remove damaged images that no container has, pull yours anew"),),
    notes="Without names all images that you may use. The exit status is 1 if something is damaged, and stays so.",
)


def run(arguments: Arguments, client: Client) -> int:
    """All that is damaged goes before any of it comes back: what has a layer already does not fetch it."""
    status, removed = 0, list[Damaged]()
    for text in arguments.operands or names(client):
        try:
            damaged = Damaged.found(client, text)
            if damaged is None:
                put(f"{text}: ok\n")
                continue
            damaged.tell(remedy=not arguments.get("repair"))
            if arguments.get("repair"):
                damaged.remove(client)
                removed.append(damaged)
            else:
                status = 1
        except Failure as error:
            complain(named(text, error))
            status = 1
    for each in removed:
        status |= each.bring_back(client)
    return status


def names(client: Client) -> list[str]:
    """By which each of them is found: of two that are called alike, as another user's may be, one by its id."""
    images = [unwrapped(each) for each in client.manager("ListImages", "a{sv}t", {}, 0)[0]]
    images.sort(key=lambda image: image["OwnerUID"] != os.getuid())
    found: list[str] = []
    for image in images:
        name = next(iter(image["Names"]), image["Id"])
        found.append(image["Id"] if name in found else name)
    return found
