# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl image check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..client import IMAGE, Call
from ..failures import Failure
from ..images import path_of
from ..names import named
from ..output import complain, put
from ..parser import Verb

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

VERB = Verb(
    usage="[NAME...]",
    options=(),
    notes="Without names all images that you may use. The exit status is 1 if something is damaged.",
)


def run(arguments: Arguments, client: Client) -> int:
    status = 0
    for text in arguments.operands or names(client):
        try:
            (damaged,) = client.call(Call(path_of(client, text), IMAGE, "Check", "t", 0))
        except Failure as error:
            complain(named(text, error))
            status = 1
            continue
        for layer in damaged:
            complain(f"{text}: the layer {layer} is damaged; remove the image and bring it in again")
            status = 1
        if not damaged:
            put(f"{text}: ok\n")
    return status


def names(client: Client) -> list[str]:
    images = client.manager("ListImages", "a{sv}t", {}, 0)[0]
    return [image["Names"][1][0] if image["Names"][1] else image["Id"][1] for image in images]
