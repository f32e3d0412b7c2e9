# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl kill."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..each import do_to_each
from ..parser import Option, Verb
from ..signals import number

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

TO_ALL = 1
SIGKILL = 9

VERB = Verb(
    usage="[OPTION...] NAME...",
    options=(
        Option(("-s", "--signal"), "this one in place of KILL, by name or number", value="SIGNAL", convert=number),
        Option(("-a", "--all"), "to all processes of the container, not only its first"),
    ),
)


def run(arguments: Arguments, client: Client) -> int:
    flags = TO_ALL if arguments.get("all") else 0
    return do_to_each(arguments, client, "Kill", "it", arguments.get("signal", SIGKILL), flags)
