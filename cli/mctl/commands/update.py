# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl update: limits and devices of containers, also while they run, and when they are started again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..devices import CHANGES, device_changes
from ..each import do_to_each
from ..failures import UsageError
from ..limits import OPTIONS, limit_options
from ..parser import Verb
from ..supervision import RESTART
from ..walls import ULIMIT, resource_limits

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

VERB = Verb(
    usage="OPTION... NAME...",
    options=(*OPTIONS, ULIMIT, *CHANGES, RESTART),
    notes="What is not named stays as it is. The rates of disks that are given replace all of their kind.",
)


def run(arguments: Arguments, client: Client) -> int:
    changes = limit_options(arguments) | resource_limits(arguments) | device_changes(arguments)
    if "restart" in arguments.options:
        changes["RestartPolicy"] = ("s", arguments.options["restart"])
    if not changes:
        raise UsageError("there is nothing to change: give a limit, as in `mctl update --memory 256m NAME`")
    return do_to_each(arguments, client, "Update", "a{sv}t", changes, 0)
