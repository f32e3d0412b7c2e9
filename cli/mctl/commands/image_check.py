# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl image check."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..client import IMAGE, Call, unwrapped
from ..failures import Failure
from ..images import path_of
from ..names import named
from ..output import complain, put
from ..parser import Option, Verb

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

VERB = Verb(
    usage="[OPTION...] [NAME...]",
    options=(Option(("--repair",), "remove damaged images that no container has"),),
    notes="Without names all images that you may use. The exit status is 1 if something is damaged, and stays so.",
)


def run(arguments: Arguments, client: Client) -> int:
    status, repair = 0, bool(arguments.get("repair"))
    for text in arguments.operands or names(client):
        try:
            status |= check(client, text, repair=repair)
        except Failure as error:
            complain(named(text, error))
            status = 1
    return status


def check(client: Client, text: str, *, repair: bool) -> int:
    path = path_of(client, text)
    (damaged,) = client.call(Call(path, IMAGE, "Check", "t", 0))
    remedy = "" if repair else "; `mctl image check --repair` removes the image, then bring it in again"
    for layer in damaged:
        complain(f"{text}: the layer {layer} is damaged{remedy}")
    if damaged and repair:
        client.call(Call(path, IMAGE, "Remove", "t", 0))
        put(f"{text}: removed; bring it in again\n")
        return 0
    if not damaged:
        put(f"{text}: ok\n")
    return 1 if damaged else 0


def names(client: Client) -> list[str]:
    """By which each of them is found: of two that are called alike, as another user's may be, one by its id."""
    images = [unwrapped(each) for each in client.manager("ListImages", "a{sv}t", {}, 0)[0]]
    images.sort(key=lambda image: image["OwnerUID"] != os.getuid())
    found: list[str] = []
    for image in images:
        name = next(iter(image["Names"]), image["Id"])
        found.append(image["Id"] if name in found else name)
    return found
