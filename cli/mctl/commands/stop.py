# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..each import already, do_to_each
from ..failures import MCTL
from ..parser import Option, Verb
from ..sizes import seconds

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

VERB = Verb(
    usage="[OPTION...] NAME...",
    options=(
        Option(("-t", "--time", "--timeout"), "wait so long before killing", value="SEC", convert=seconds),
        Option(("-f", "--force"), "kill at once"),
    ),
    notes="One that does not run is stopped already.",
)
STOPPED = already(MCTL + "NotRunning", "created", "exited", "unreadable")


def run(arguments: Arguments, client: Client) -> int:
    timeout = 0 if arguments.get("force") else arguments.get("timeout")
    options = {} if timeout is None else {"TimeoutUSec": ("t", timeout)}
    return do_to_each(arguments, client, "Stop", "a{sv}t", options, 0, satisfied=STOPPED)
