# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl diff: what a container has changed of its root file system."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from ..client import CONTAINER, Call
from ..failures import UsageError
from ..formats import JSON
from ..names import call_on
from ..output import printable, to_json
from ..pager import put_long
from ..parser import Verb

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

PIECE = 1 << 16

VERB = Verb(
    usage="[OPTION...] NAME",
    options=(JSON,),
    notes="A line for each path: A was added, C changed, D deleted. Volumes and other mounts do not count.",
)


class Reading(threading.Thread):
    """Takes what is written into a pipe until its end."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._from, self.given = os.pipe()
        self._taken = bytearray()

    def run(self) -> None:
        while piece := os.read(self._from, PIECE):
            self._taken += piece
        os.close(self._from)

    def taken(self) -> bytes:
        """All of it. Nobody writes any more."""
        os.close(self.given)
        self.join()
        return bytes(self._taken)


def run(arguments: Arguments, client: Client) -> int:
    if len(arguments.operands) != 1:
        raise UsageError("one container must be named: mctl diff NAME")
    reading = Reading()
    reading.start()
    try:
        call_on(client, arguments.operands[0], Call("", CONTAINER, "ListChanges", "ht", reading.given, 0))
    finally:
        text = os.fsdecode(reading.taken())
    changes = [(entry[0], entry[2:]) for entry in text.split("\0") if entry]
    style = arguments.get("json", "off")
    if style != "off":
        found = [{"Kind": kind, "Path": path} for kind, path in changes]
        put_long(to_json(found, pretty=style == "pretty"), arguments)
    else:
        put_long("".join(f"{kind} {printable(path)}\n" for kind, path in changes), arguments)
    return 0
