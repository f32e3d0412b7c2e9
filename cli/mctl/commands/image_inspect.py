# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl image inspect: every property the service publishes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..failures import Failure, UsageError
from ..formats import JSON, truth
from ..images import path_of, properties
from ..names import named
from ..output import complain, put
from ..parser import Option, Verb
from .inspect import shown

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

VERB = Verb(
    usage="[OPTION...] NAME...",
    options=(
        Option(("-f", "--format"), "a template in place of JSON, as '{{.Id}}'", value="TEMPLATE"),
        Option(("--pretty",), "false: one line an image", value="true|false", convert=truth, implied="true"),
        JSON,
    ),
    notes="Prints one JSON object a name; times are microseconds since the epoch.",
)


def run(arguments: Arguments, client: Client) -> int:
    if not arguments.operands:
        raise UsageError("no image was named; `mctl images` lists them")
    status = 0
    for text in arguments.operands:
        try:
            put(shown(properties(client, path_of(client, text)), arguments))
        except Failure as error:
            complain(named(text, error))
            status = 1
    return status
