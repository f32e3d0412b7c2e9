# SPDX-License-Identifier: GPL-3.0-or-later
"""start: the command of a created container is executed."""

from __future__ import annotations

from .. import starting, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..call import Call

OPTIONS: dict[str, str] = {}


def run(call: Call) -> int:
    with state.find(call.root, call.options.identifier()) as entry:
        heard = starting.start(entry)
    if heard:  # not under the lock: it may take long, and meanwhile somebody may want to kill it
        heard.await_ready(leaving=True)
    return 0
