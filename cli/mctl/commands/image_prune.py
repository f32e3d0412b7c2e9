# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl image prune: what has lost its names goes; of the caller's own images, and never one that is used. And what
interrupted pulls have left.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..client import IMAGE, Call, unwrapped
from ..failures import MCTL, Failure, UsageError
from ..images import path_of, properties
from ..names import named
from ..output import complain, put
from ..parser import Option, Verb
from ..sizes import readable

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

USED = (MCTL + "ImageInUse", MCTL + "NoSuchImage", "org.freedesktop.DBus.Error.UnknownObject")

VERB = Verb(
    usage="[OPTION...]",
    options=(
        Option(("-a", "--all"), "also those with names, unless containers were made from them"),
        Option(("-f", "--force"), "accepted and ignored: nothing is asked"),
    ),
    notes="Removes images of yours that have no name any more and that no container was made from, and what\n"
    "interrupted pulls of yours have left for the next one; as root what those of all users have left.",
)


def run(arguments: Arguments, client: Client) -> int:
    if arguments.operands:
        raise UsageError(f"image prune takes no names, but got {arguments.operands[0]!r}: `mctl rmi` removes by name")
    status, freed = 0, 0
    for image in candidates(client, everything=bool(arguments.get("all"))):
        try:
            freed += removed(client, image)
        except Failure as error:
            complain(named(image["Id"], error))
            status = 1
    everybodys = 1 if os.getuid() == 0 else 0
    freed += client.manager("DiscardDownloads", "t", everybodys)[0]
    put(f"Total reclaimed space: {readable(freed)}\n")
    return status


def candidates(client: Client, *, everything: bool) -> list[dict[str, Any]]:
    wanted = {"OwnerUID": ("u", os.getuid())}
    images = [unwrapped(each) for each in client.manager("ListImages", "a{sv}t", wanted, 0)[0]]
    return [image for image in images if everything or not image["Names"]]


def removed(client: Client, image: dict[str, Any]) -> int:
    """Bytes that are free now; none where a container needs it."""
    try:
        path = path_of(client, image["Id"])
        size: int = properties(client, path)["UniqueSize"]
        client.call(Call(path, IMAGE, "Remove", "t", 0))
    except Failure as error:
        if error.name in USED:
            return 0
        raise
    put("".join(f"{name}\n" for name in image["Names"]) + f"{image['Id']}\n")
    return size
