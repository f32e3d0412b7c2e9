# SPDX-License-Identifier: GPL-3.0-or-later
"""delete: a container that has stopped is undone, with --force also one that runs."""

from __future__ import annotations

from ...errors import NoSuchContainer
from .. import arguments, removal, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..call import Call

OPTIONS = {"force": arguments.FLAG}


def run(call: Call) -> int:
    force = call.options.flag("force")
    try:
        entry = state.find(call.root, call.options.identifier())
    except NoSuchContainer:
        if force:  # as rm -f
            return 0
        raise
    with entry:
        removal.remove(entry, call.report, force=force)
    return 0
