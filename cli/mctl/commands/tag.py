# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl tag."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..client import IMAGE, Call
from ..failures import UsageError
from ..images import path_of
from ..parser import Verb

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

VERB = Verb(
    usage="IMAGE NAME[:TAG]",
    options=(),
    notes="Another image of yours that is called so loses the name.",
)


def run(arguments: Arguments, client: Client) -> int:
    if len(arguments.operands) != 2:
        raise UsageError("an image and a new name for it are needed: mctl tag IMAGE NAME[:TAG]")
    image, name = arguments.operands
    client.call(Call(path_of(client, image), IMAGE, "Tag", "st", name, 0))
    return 0
