# SPDX-License-Identifier: GPL-3.0-or-later
"""exec: one more process in a container that runs."""

from __future__ import annotations

from ...errors import InvalidArgs
from ...runtime import terminal
from .. import arguments, execution, following

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..call import Call

FLAG, TEXT, MANY = arguments.FLAG, arguments.TEXT, arguments.MANY
OPTIONS = {
    "process": TEXT, "console-socket": TEXT, "pid-file": TEXT, "detach": FLAG, "tty": FLAG, "user": TEXT, "env": MANY,
    "cwd": TEXT, "cap": MANY, "additional-gids": MANY, "no-new-privs": FLAG, "preserve-fds": TEXT, "apparmor": TEXT,
    "process-label": TEXT, "ignore-paused": FLAG,
}  # fmt: skip


def run(call: Call) -> int:
    if not call.options.rest:
        raise InvalidArgs("usage: mctl-oci exec [OPTIONS] ID COMMAND [ARGUMENT...]")
    name, *command = call.options.rest
    detached = call.options.flag("detach")
    child = execution.execute(call, name, command, relayed=not detached)
    try:
        if detached:
            return 0
        master = child.received.get(terminal.NAME) if not call.options.text("console-socket") else None
        return following.follow(child, master)
    finally:
        child.close()
