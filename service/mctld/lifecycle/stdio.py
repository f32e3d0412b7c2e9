# SPDX-License-Identifier: GPL-3.0-or-later
"""The three standard descriptors of a payload."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import ADVICE, SetupFailed
from ..systemd import journal
from .relay import Relay
from .terminal import CLIENT, NAME, Terminal
from .watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..store import Record
    from .tasks import Tasks

STREAMS = (("stdout", journal.STDOUT_PRIORITY), ("stderr", journal.STDERR_PRIORITY))


@dataclass(slots=True)
class Stdio:
    """Descriptors for the payload, and what has to happen on our side of them."""

    payload: dict[str, int]
    watchers: tuple[int, ...] = ()  # reading ends for the one who watches
    _sources: list[tuple[str, int, int, socket.socket]] = field(default_factory=list)
    _owned: ExitStack = field(default_factory=ExitStack)

    def own(self, stream: socket.socket) -> socket.socket:
        return self._owned.enter_context(stream)

    def own_descriptor(self, descriptor: int) -> None:
        self._owned.callback(os.close, descriptor)

    def relays(self, credentials: tuple[int, int, int], terminal: int | None = None) -> list[Relay]:
        """From here on the descriptors on our side belong to the relays. No terminal has been made for such a one."""
        del terminal
        sources, self._sources = self._sources, []
        return [
            Relay(name, source, Watcher(watcher), stream, credentials) for name, source, watcher, stream in sources
        ]

    def close_payload(self) -> None:
        """The payload has its own copies now."""
        self._owned.close()

    def abandon(self) -> None:
        """The start has failed: nobody will write, nobody shall wait."""
        self.close_payload()
        for _, source, watcher, stream in self._sources:
            os.close(source)
            os.close(watcher)
            stream.close()
        for watcher in self.watchers:
            os.close(watcher)


class TerminalStdio:
    """In place of Stdio: nothing goes in, since the terminal is made inside; its master comes back from there."""

    def __init__(self, record: Record, unit: str, tasks: Tasks, *, attach: bool) -> None:
        self.payload: dict[str, int] = {}
        self.watchers: tuple[int, ...] = ()  # the client's end of a socket for both directions
        self._identity = record.id
        self._tasks = tasks
        self._stream = journal.open_stream(record.spec.name, unit, journal.STDOUT_PRIORITY)
        self._connection: socket.socket | None = None
        if attach:
            self._connect()

    def _connect(self) -> None:
        try:
            self._connection, client = socket.socketpair()
        except OSError:
            self._stream.close()
            raise
        self.watchers = (client.detach(),)

    def relays(self, credentials: tuple[int, int, int], terminal: int | None) -> list[Relay]:
        """From here on the terminal and the descriptors on our side belong to the one relay."""
        assert terminal is not None
        made = Terminal(self._identity, terminal, self._stream, credentials, self._tasks)
        if self._connection:
            made.admit(self._connection)
        return [made]

    def close_payload(self) -> None:
        """The payload's side was never ours."""

    def abandon(self) -> None:
        self._stream.close()
        if self._connection:
            self._connection.close()
        for watcher in self.watchers:
            os.close(watcher)


AnyStdio = Stdio | TerminalStdio


def open_for_start(record: Record, unit: str, tasks: Tasks, stdin: int | None, *, attach: bool) -> AnyStdio:
    try:
        if record.spec.terminal:
            return TerminalStdio(record, unit, tasks, attach=attach)
        return open_stdio(record, unit, stdin=stdin, attach=attach)
    except OSError as error:
        raise SetupFailed("connect the output to the journal", f"{error.strerror}; {ADVICE}") from error


def open_stdio(record: Record, unit: str, *, stdin: int | None, attach: bool) -> Stdio:
    """Journal streams handed to the payload itself; with `attach`, pipes that a relay reads. `stdin` is borrowed."""
    made = _open_stdin(stdin)
    try:
        for name, priority in STREAMS:
            stream = made.own(journal.open_stream(record.spec.name, unit, priority))
            made.payload[name] = _attach(made, name, stream) if attach else stream.fileno()
    except OSError:
        made.abandon()
        raise
    return made


def open_for_exec(record: Record, unit: str, *, stdin: int | None, attach: bool) -> Stdio:
    """As open_stdio, but with `attach` the pipes lead straight to the one who watches: the output is theirs alone."""
    made = _open_stdin(stdin)
    try:
        for name, priority in STREAMS:
            if attach:
                made.payload[name] = _pipe(made)
            else:
                made.payload[name] = made.own(journal.open_stream(record.spec.name, unit, priority)).fileno()
    except OSError:
        made.abandon()
        raise
    return made


def _open_stdin(stdin: int | None) -> Stdio:
    """What is given is borrowed."""
    opened = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) if stdin is None else os.dup(stdin)
    made = Stdio({"stdin": opened})
    made.own_descriptor(opened)
    return made


def _pipe(made: Stdio) -> int:
    """The writing end; the other is for the watcher."""
    watched, written = os.pipe2(os.O_CLOEXEC)
    made.watchers += (watched,)
    made.own_descriptor(written)
    os.fchmod(written, 0o666)  # so that the payload, whatever its user, may open /dev/stdout anew
    return written


def _attach(made: Stdio, name: str, stream: socket.socket) -> int:
    source, written = os.pipe2(os.O_CLOEXEC)
    made.own_descriptor(written)
    with ExitStack() as on_failure:
        on_failure.callback(os.close, source)
        os.fchmod(written, 0o666)  # so that the payload, whatever its user, may open /dev/stdout anew
        watched, watcher = os.pipe2(os.O_CLOEXEC)
        on_failure.callback(os.close, watched)
        on_failure.callback(os.close, watcher)
        copy = stream.dup()
        on_failure.pop_all()
    made._sources.append((name, source, watcher, copy))
    made.watchers += (watched,)
    return written


def resume(record: Record, unit: str, pid: int, kept: Mapping[str, int], tasks: Tasks) -> list[Relay]:
    """Relays of an earlier instance of the service. Watchers of pipes are lost: the journal is what remains."""
    credentials = (pid, record.uid_shift, record.uid_shift)

    def stream(priority: int) -> socket.socket:
        return journal.open_stream(record.spec.name, unit, priority)

    found = [Relay(name, kept[name], None, stream(priority), credentials) for name, priority in STREAMS if name in kept]
    if NAME in kept:
        terminal = Terminal(record.id, kept[NAME], stream(journal.STDOUT_PRIORITY), credentials, tasks)
        terminal.readmit({name: descriptor for name, descriptor in kept.items() if name.startswith(CLIENT)})
        found.append(terminal)
    return found
