# SPDX-License-Identifier: GPL-3.0-or-later
"""Who answers for SCMP_ACT_NOTIFY: a process that listens on a socket, config-linux.md#containerprocessstate."""

from __future__ import annotations

import socket

from ..errors import SetupFailed
from ..runtime import plainjson
from .value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .reading import Value

AGENT = "agent"  # by which the stage knows the connection
NOTIFY = "SCMP_ACT_NOTIFY"


@value(frozen=True)
class Listener:
    path: str
    metadata: str


def read(seccomp: Value) -> Listener | None:
    """None where no rule asks for one."""
    rules = seccomp["syscalls"].items()
    if seccomp["listenerMetadata"].given and not seccomp["listenerPath"].given:
        raise seccomp["listenerMetadata"].error("it is for the process that listens on listenerPath, which is missing")
    if not any(rule["action"].text("") == NOTIFY for rule in rules):
        return None
    if not seccomp["listenerPath"].given:
        raise seccomp["listenerPath"].error(f"{NOTIFY} needs a process that listens there")
    return Listener(seccomp["listenerPath"].absolute(), seccomp["listenerMetadata"].text(""))


def connect(listener: Listener) -> socket.socket:
    """One connection for each filter, closed by the execution of the command."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.connect(listener.path)
    except OSError as error:
        made.close()
        raise SetupFailed(f"connect to linux.seccomp.listenerPath {listener.path}", error.strerror or error) from error
    return made


def message(listener: Listener, state: dict[str, Any], pid: int) -> str:
    """With which the listener's descriptor goes; pid: of the process that the filter binds."""
    return plainjson.dumps(
        {"ociVersion": state["ociVersion"], "fds": ["seccompFd"], "pid": pid, "metadata": listener.metadata,
         "state": state}
    )  # fmt: skip
