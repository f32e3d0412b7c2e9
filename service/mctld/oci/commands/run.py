# SPDX-License-Identifier: GPL-3.0-or-later
"""run: create and start, and unless it is detached wait for the end and delete."""

from __future__ import annotations

from ...runtime import terminal
from .. import arguments, creation, following, removal, starting, state
from .create import OPTIONS as CREATION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..call import Call

OPTIONS = {**CREATION, "detach": arguments.FLAG, "keep": arguments.FLAG}


def run(call: Call) -> int:
    name, detached = call.options.identifier(), call.options.flag("detach")
    child = creation.create(call, name, relayed=not detached)
    try:
        try:
            with state.find(call.root, name) as entry:
                heard = starting.start(entry)
        except BaseException:
            _remove(call, name)
            raise
        if detached:
            if heard:
                heard.await_ready(leaving=True)
            return 0
        master = child.received.get(terminal.NAME) if not call.options.text("console-socket") else None
        status = following.follow(child, master, heard)
        if not call.options.flag("keep"):
            _remove(call, name)
        return status
    finally:
        child.close()


def _remove(call: Call, name: str) -> None:
    with state.find(call.root, name) as entry:
        removal.remove(entry, call.report, force=True)
