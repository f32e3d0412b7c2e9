# SPDX-License-Identifier: GPL-3.0-or-later
"""state: what a container is now, as runtime.md#state wants it told."""

from __future__ import annotations

import json

from .. import state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..call import Call

OPTIONS: dict[str, str] = {}


def run(call: Call) -> int:
    with state.look(call.root, call.options.identifier()) as entry:
        record = entry.record()
        print(json.dumps(state.describe(record, state.status(entry, record)), indent=2))
    return 0
