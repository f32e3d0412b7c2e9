# SPDX-License-Identifier: GPL-3.0-or-later
"""From created to running: the go-ahead, and the answer."""

from __future__ import annotations

import os
import signal
import socket

from ..errors import InvalidArgs, NotRunning, SetupFailed
from ..runtime import plainjson
from . import hooks, listener, readiness, state
from .undo import Undo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .hooks import Hook
    from .readiness import Readiness
    from .state import Entry, Record

ANSWER_MAX = 64 << 10


def start(entry: Entry) -> Readiness | None:
    """Returns when the payload executes. The socket goes before the word: whoever dies between has started nothing.

    What is returned, if somebody wants to know when the container is ready, is the caller's to close.
    """
    record = entry.record()
    now = state.status(entry, record)
    if now != state.CREATED:
        raise NotRunning(f"cannot start container {entry.name!r}: it is {now}, and must be {state.CREATED}")
    asked = entry.configuration()  # create has judged all of it
    if not asked["process"].given:
        raise InvalidArgs(f"cannot start container {entry.name!r}: its config.json has no process, so no command")
    agent, after = listener.read(asked["linux"]["seccomp"]), hooks.read(asked["hooks"])["poststart"]
    with Undo() as opened:
        heard = readiness.listen(entry, record.pid)
        on_failure = opened.enter_context(Undo())
        if heard:
            on_failure.callback(heard.close)
        agents = [opened.enter_context(listener.connect(agent)).fileno()] if agent else []
        connection = opened.enter_context(_connected(entry))
        os.unlink(entry.socket)
        socket.send_fds(connection, [b"s"], agents)
        told = _answer(connection)
        if told:
            from . import birth

            raise birth.failure(plainjson.loads(told))
        _run_hooks(after, record)
        on_failure.forget()
    return heard


def _run_hooks(entries: tuple[Hook, ...], record: Record) -> None:
    try:
        hooks.run_all("poststart", entries, state.for_hook(record, state.RUNNING))
    except SetupFailed:
        _kill(record)
        raise


def _connected(entry: Entry) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    directory = os.open(entry.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        connection.connect(f"/proc/self/fd/{directory}/{state.SOCKET}")
    except OSError as error:
        connection.close()
        raise SetupFailed(f"start container {entry.name!r}", error.strerror) from error
    finally:
        os.close(directory)
    return connection


def _answer(connection: socket.socket) -> bytes:
    """Nothing: executed. A connection reset means that the process was killed before it had read the word."""
    try:
        return connection.recv(ANSWER_MAX)
    except ConnectionResetError as error:
        raise SetupFailed("start the container's process", "it has been killed") from error


def _kill(record: Record) -> None:
    pidfd = state.open_process(record)
    if pidfd is not None:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)
