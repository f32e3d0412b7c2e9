# SPDX-License-Identifier: GPL-3.0-or-later
"""The three standard descriptors of a payload."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .. import disk
from ..errors import ADVICE, SetupFailed
from ..image import ImageRoot
from ..systemd import journal
from . import outlet
from .epilogue import Epilogue
from .relay import Relay
from .stream import JournalStream
from .terminal import CLIENT, NAME, Terminal
from .watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..store import Record
    from .journals import Journals
    from .keeping import Kept
    from .running import Running
    from .tasks import Tasks

STREAMS = (("stdout", journal.STDOUT_PRIORITY), ("stderr", journal.STDERR_PRIORITY))


@dataclass(slots=True)
class Stdio:
    """Descriptors for the payload, and what has to happen on our side of them."""

    payload: dict[str, int]
    watchers: tuple[int, ...] = ()  # reading ends for the one who watches
    _sources: list[tuple[str, int, int | None, JournalStream]] = field(default_factory=list)
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
            Relay(name, source, None if watcher is None else Watcher(watcher), stream, credentials)
            for name, source, watcher, stream in sources
        ]

    def close_payload(self) -> None:
        """The payload has its own copies now."""
        self._owned.close()

    def abandon(self) -> None:
        """The start has failed: nobody will write, nobody shall wait."""
        self.close_payload()
        for _, source, watcher, stream in self._sources:
            os.close(source)
            if watcher is not None:
                os.close(watcher)
            stream.close()
        for watcher in self.watchers:
            os.close(watcher)


class TerminalStdio:
    """In place of Stdio: nothing goes in, since the terminal is made inside; its master comes back from there."""

    def __init__(self, stream: JournalStream, tasks: Tasks, kept: Kept, *, attach: bool) -> None:
        self.payload: dict[str, int] = {}
        self.watchers: tuple[int, ...] = ()  # the client's end of a socket for both directions
        self._kept = kept
        self._tasks = tasks
        self._stream = stream
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
        made = Terminal(self._kept, terminal, self._stream, credentials, self._tasks)
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


@dataclass(frozen=True, slots=True)
class Lines:
    """To the journal, of a container that runs in that unit."""

    journals: Journals
    record: Record
    unit: str

    def open(self, priority: int) -> socket.socket:
        return self.journals.open(self.record.owner_uid, self.record.spec.name, self.unit, priority)

    def stream(self, priority: int, stream: socket.socket | None = None) -> JournalStream:
        """For what passes through the service."""
        look = self.journals.look_for(self.record.owner_uid)
        return JournalStream(lambda: self.open(priority), lambda: self._epilogue(priority), stream, look)

    def _epilogue(self, priority: int) -> Epilogue:
        fields: dict[str, str | int] = {**journal.published_fields(self.unit), "PRIORITY": priority}
        fields |= {"SYSLOG_IDENTIFIER": self.record.spec.name, "OBJECT_SYSTEMD_UNIT": self.unit}
        return Epilogue(fields, self.journals.socket_for_entries(self.record.owner_uid))


def open_for_start(
    lines: Lines, tasks: Tasks, directory: str, stdin: int | None, kept: Kept, *, attach: bool
) -> AnyStdio:
    """directory: of the container's own files."""
    try:
        if lines.record.spec.terminal:
            priority = journal.STDOUT_PRIORITY
            return TerminalStdio(lines.stream(priority, lines.open(priority)), tasks, kept, attach=attach)
        return _open_stdio(lines, directory, stdin=stdin, attach=attach)
    except OSError as error:
        if error.errno in disk.OF_A_DISK:
            raise SetupFailed("make a FIFO for the output", disk.told(error, directory)) from error
        raise SetupFailed("connect the output to the journal", f"{error.strerror}; {ADVICE}") from error


def _open_stdio(lines: Lines, directory: str, *, stdin: int | None, attach: bool) -> Stdio:
    """Journal streams handed to the payload itself; with `attach`, and for images, FIFOs that a relay reads. `stdin` is
    borrowed.
    """
    made = _open_stdin(stdin)
    relayed = attach or isinstance(lines.record.spec.rootfs, ImageRoot)
    try:
        for name, priority in STREAMS:
            stream = made.own(lines.open(priority))
            if relayed:
                copy = lines.stream(priority, stream.dup())
                made.payload[name] = _relay(made, lines, directory, name, copy, watched=attach)
            else:
                made.payload[name] = stream.fileno()
    except OSError:
        made.abandon()
        raise
    return made


def open_for_exec(lines: Lines, *, stdin: int | None, attach: bool) -> Stdio:
    """As for a start, but with `attach` the pipes lead straight to the one who watches: the output is theirs alone."""
    made = _open_stdin(stdin)
    try:
        for name, priority in STREAMS:
            if attach:
                made.payload[name] = _pipe(made)
            else:
                made.payload[name] = made.own(lines.open(priority)).fileno()
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


def _relay(made: Stdio, lines: Lines, directory: str, name: str, stream: JournalStream, *, watched: bool) -> int:
    """The payload's end. Takes the stream over."""
    with ExitStack() as on_failure:
        on_failure.callback(stream.close)
        source, written = outlet.make(directory, name, lines.record.uid_shift)
        made.own_descriptor(written)
        on_failure.callback(os.close, source)
        watcher = None
        if watched:
            reading, watcher = os.pipe2(os.O_CLOEXEC)
            on_failure.callback(os.close, reading)
            on_failure.callback(os.close, watcher)
        on_failure.pop_all()
    made._sources.append((name, source, watcher, stream))
    if watched:
        made.watchers += (reading,)
    return written


def resume(
    container: Running, pid: int, kept: Mapping[str, int], tasks: Tasks, directory: str, journals: Journals
) -> list[Relay]:
    """Relays of an earlier instance of the service. Watchers of pipes are lost: the journal is what remains.

    What PID 1 does not have any more, since somebody has stopped the service, is found by its name. There may be no
    journal now: the first line looks for it.
    """
    credentials = (pid, container.uid_shift, container.uid_shift)
    lines = Lines(journals, container.record, container.unit)
    found = []
    for name, priority in STREAMS:
        source = kept[name] if name in kept else outlet.find(directory, name)
        if source is not None:
            found.append(Relay(name, source, None, lines.stream(priority), credentials))
    if NAME in kept:
        terminal = Terminal(container.kept, kept[NAME], lines.stream(journal.STDOUT_PRIORITY), credentials, tasks)
        terminal.readmit({name: descriptor for name, descriptor in kept.items() if name.startswith(CLIENT)})
        found.append(terminal)
    return found
