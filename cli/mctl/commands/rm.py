# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl rm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..each import do_to_each
from ..failures import NO_SUCH
from ..parser import Option, Verb

if TYPE_CHECKING:
    from ..client import Client
    from ..failures import Failure
    from ..parser import Arguments

KILL_FIRST = 1
VOLUMES = 2

VERB = Verb(
    usage="[OPTION...] NAME...",
    options=(
        Option(("-f", "--force"), "kill those that run, then remove them; those that are not there are no failure"),
        Option(("-v", "--volumes"), "with their volumes that have no name"),
    ),
)


def run(arguments: Arguments, client: Client) -> int:
    flags = (KILL_FIRST if arguments.get("force") else 0) | (VOLUMES if arguments.get("volumes") else 0)
    satisfied = is_gone if arguments.get("force") else None
    return do_to_each(arguments, client, "Remove", "t", flags, satisfied=satisfied)


def is_gone(_: Client, __: str, refused: Failure) -> str | None:
    """As with rm(1), docker and podman: nothing is removed, so no name is printed."""
    return "" if refused.name in NO_SUCH else None
