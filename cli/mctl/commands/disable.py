# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl disable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..each import do_to_each
from ..parser import Verb

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

VERB = Verb(usage="NAME...", options=())


def run(arguments: Arguments, client: Client) -> int:
    return do_to_each(arguments, client, "Disable", "t", 0)
