# SPDX-License-Identifier: GPL-3.0-or-later
"""create: all of a container but the execution of its command."""

from __future__ import annotations

from .. import arguments, creation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..call import Call

FLAG, TEXT = arguments.FLAG, arguments.TEXT
OPTIONS = {
    "bundle": TEXT, "config": TEXT, "console-socket": TEXT, "pid-file": TEXT, "preserve-fds": TEXT, "no-pivot": FLAG,
    "no-new-keyring": FLAG,
}  # fmt: skip


def run(call: Call) -> int:
    creation.create(call, call.options.identifier(), relayed=False).close()
    return 0
