# SPDX-License-Identifier: GPL-3.0-or-later
"""events --stats: what a container uses, once, in the form that runc has given it."""

from __future__ import annotations

from ...errors import InvalidArgs, NotRunning
from ...runtime import plainjson
from .. import arguments, state, usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..call import Call

OPTIONS = {"stats": arguments.FLAG, "interval": arguments.TEXT}


def run(call: Call) -> int:
    if not call.options.flag("stats"):
        raise InvalidArgs("mctl-oci tells no events as they come: give --stats for one answer")
    with state.look(call.root, call.options.identifier()) as entry:
        record = entry.record()
    if not state.is_alive(record) or not record.cgroup:
        raise NotRunning(f"container {record.id!r}: container not running, or it has no cgroup")
    print(plainjson.dumps({"type": "stats", "id": record.id, "data": usage.read(record.cgroup)}))
    return 0
