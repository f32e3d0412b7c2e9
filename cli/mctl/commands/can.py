# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl can: what the caller may do with a container now, without doing it and without being asked for a password."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..abilities import METHODS, asked
from ..client import Client
from ..failures import UsageError
from ..formats import JSON
from ..output import put, table, to_json
from ..parser import Option, Verb

if TYPE_CHECKING:
    from ..parser import Arguments

VERB = Verb(
    usage="[OPTION...] NAME [VERB...]",
    options=(Option(("-q", "--quiet"), "print nothing: the exit status tells"), JSON),
    notes="yes, challenge (somebody would be asked for a password), no, or na (its state does not allow it now).\n"
    "The exit status is 1 if a VERB was named that is not answered by yes.",
)


def run(arguments: Arguments, client: Client) -> int:
    if not arguments.operands:
        raise UsageError("no container was named; `mctl ps -a` lists them")
    name, *verbs = arguments.operands
    with Client(ask_password=False, failure_status=client.failure_status) as unasked:
        found = asked(unasked, name, list(dict.fromkeys(verbs)) or list(METHODS))
    style = arguments.get("json", "off")
    if style != "off":
        told = {verb: dict(zip(("Answer", "Action", "Reason"), each, strict=True)) for verb, each in found.items()}
        put(to_json(told, pretty=style == "pretty"))
    elif not arguments.get("quiet"):
        put(table(("VERB", "ANSWER", "REASON"), [(verb, answer, why) for verb, (answer, _, why) in found.items()]))
    return int(bool(verbs) and any(answer != "yes" for answer, *_ in found.values()))
