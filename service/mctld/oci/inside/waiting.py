# SPDX-License-Identifier: GPL-3.0-or-later
"""Between create and start: the container's process waits at a socket of the state directory."""

from __future__ import annotations

import errno
import os
import socket

from ...runtime import plainjson
from .. import hooks
from ..listener import AGENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...runtime.stage import Descriptors

LISTENER = "listener"
MOUNTED, READY = "mounted", "ready"


def report(descriptors: Descriptors, event: str) -> None:
    os.write(descriptors["channel"], plainjson.dumps({"event": event}).encode())


def wait_for_start(descriptors: Descriptors) -> None:
    """From here on the one who starts us is told of failures, and of the execution by the end of file.

    If nobody says go on that connection, the one who wanted to start us has died after taking the socket away.
    """
    report(descriptors, READY)
    with socket.socket(fileno=os.dup(descriptors[LISTENER])) as listener:
        connection, _ = listener.accept()
    with connection:
        os.dup2(connection.fileno(), descriptors["channel"], inheritable=False)
        word, brought, _, _ = socket.recv_fds(connection, 1, 1)
    if not word:
        raise ConnectionAbortedError(errno.ECONNABORTED, "the start was given up")
    for agent in brought:
        os.set_inheritable(agent, False)  # noqa: FBT003
        descriptors.keep(AGENT, agent)


def run_hooks(_: Descriptors, kind: str, entries: list[dict[str, Any]], state: dict[str, Any]) -> None:
    """The pid is the one that the container knows, runtime.md#state."""
    made = [hooks.Hook(**{**entry, "args": tuple(entry["args"])}) for entry in entries]
    hooks.run_all(kind, made, {**state, "pid": os.getpid()})
