# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl image share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..client import IMAGE, Call
from ..failures import UsageError
from ..images import path_of
from ..parser import Option, Verb

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

SHARED = 1

VERB = Verb(
    usage="[OPTION...] NAME",
    options=(Option(("--off",), "let only its owner use it from now on"),),
    notes="Lets all users see and use the image. This takes an administrator.",
)


def run(arguments: Arguments, client: Client) -> int:
    if len(arguments.operands) != 1:
        raise UsageError("one image must be named; `mctl images` lists them")
    path = path_of(client, arguments.operands[0])
    client.call(Call(path, IMAGE, "Share", "t", 0 if arguments.get("off") else SHARED))
    return 0
