# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..each import do_to_each
from ..parser import Option, Verb
from ..sizes import seconds

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

VERB = Verb(
    usage="[OPTION...] NAME...",
    options=(Option(("-t", "--time", "--timeout"), "wait so long before killing", value="SEC", convert=seconds),),
    notes="One that does not run is started.",
)


def run(arguments: Arguments, client: Client) -> int:
    timeout = arguments.get("timeout")
    options = {} if timeout is None else {"TimeoutUSec": ("t", timeout)}
    return do_to_each(arguments, client, "Restart", "a{sv}t", options, 0)
