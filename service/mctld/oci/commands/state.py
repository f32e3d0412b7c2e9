# SPDX-License-Identifier: GPL-3.0-or-later
"""state: what a container is now, as runtime.md#state wants it told."""

from __future__ import annotations

from ...runtime import plainjson
from .. import state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..call import Call

OPTIONS: dict[str, str] = {}


def run(call: Call) -> int:
    with state.look(call.root, call.options.identifier()) as entry:
        record = entry.record()
        told = state.describe(record, state.status(entry, record))
    members = (f"  {plainjson.dumps(name)}: {plainjson.dumps(value)}" for name, value in told.items())
    print("{\n" + ",\n".join(members) + "\n}")
    return 0
