# SPDX-License-Identifier: GPL-3.0-or-later
"""The three standard descriptors of a payload."""

from __future__ import annotations

import logging
import os
import socket
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
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
from .watcher import Watcher, watcher_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..store import Record
    from .crew import Crew
    from .custody import Custody
    from .held import Held
    from .journals import Journals
    from .keeping import Kept
    from .running import Running
    from .tasks import Tasks

STREAMS = (("stdout", journal.STDOUT_PRIORITY), ("stderr", journal.STDERR_PRIORITY))

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Stdio:
    """Descriptors for the payload, and what has to happen on our side of them."""

    payload: dict[str, int]
    watchers: tuple[int, ...] = ()  # reading ends for the one who watches
    _sources: list[tuple[str, Held, socket.socket | None, JournalStream]] = field(default_factory=list)
    _straight: dict[str, tuple[socket.socket, Callable[[], socket.socket]]] = field(default_factory=dict)
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
            Relay(name, source, None if watcher is None else Watcher(watcher.detach()), stream, credentials)
            for name, source, watcher, stream in sources
        ]

    def put_straight(self, name: str, make: Callable[[], socket.socket]) -> None:
        """A stream of the journal's for the payload itself."""
        stream = self.own(make())
        self._straight[name] = stream, make
        self.payload[name] = stream.fileno()

    async def hand_over(self, custody: Custody) -> None:
        """Before the payload gets any. A kill of journald breaks no stream of it from then on: PID 1 has them."""
        for _, _, _, relayed in self._sources:
            await relayed.hand_over(custody)
        for name in tuple(self._straight):
            while not await custody.has(self._straight[name][0]):
                try:
                    self.put_straight(name, self._straight[name][1])
                except OSError as error:
                    raise _not_connected(error) from error

    def close_payload(self) -> None:
        """The payload has its own copies now."""
        self._owned.close()

    def abandon(self) -> None:
        """The start has failed: nobody will write, nobody shall wait."""
        self.close_payload()
        for _, source, watcher, stream in self._sources:
            source.close()
            if watcher is not None:
                watcher.close()
            stream.close()
        for watching in self.watchers:
            os.close(watching)


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

    async def hand_over(self, custody: Custody) -> None:
        await self._stream.hand_over(custody)

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
    lines: Lines, tasks: Tasks, crew: Crew, directory: str, stdin: int | None, kept: Kept, *, attach: bool
) -> AnyStdio:
    """crew: of the container's owner. directory: of the container's own files."""
    try:
        if lines.record.spec.terminal:
            priority = journal.STDOUT_PRIORITY
            return TerminalStdio(lines.stream(priority, lines.open(priority)), tasks, kept, attach=attach)
        return _open_stdio(lines, crew, directory, stdin=stdin, attach=attach)
    except OSError as error:
        if error.errno in disk.OF_A_DISK:
            raise SetupFailed("make a FIFO for the output", disk.told(error, directory)) from error
        raise _not_connected(error) from error


def _not_connected(error: OSError) -> SetupFailed:
    return SetupFailed("connect the output to the journal", f"{error.strerror}; {ADVICE}")


def _open_stdio(lines: Lines, crew: Crew, directory: str, *, stdin: int | None, attach: bool) -> Stdio:
    """Journal streams handed to the payload itself; with `attach`, and for images, FIFOs that a relay reads. `stdin` is
    borrowed.
    """
    made = _open_stdin(stdin)
    relayed = attach or isinstance(lines.record.spec.rootfs, ImageRoot)
    try:
        for name, priority in STREAMS:
            if relayed:
                made.payload[name] = _relay(made, lines, crew, directory, name, watched=attach)
            else:
                made.put_straight(name, partial(lines.open, priority))
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
                made.put_straight(name, partial(lines.open, priority))
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


def told(name: str, lines: Lines) -> str:
    return f"{name} of container {lines.record.spec.name}"


def _relay(made: Stdio, lines: Lines, crew: Crew, directory: str, name: str, *, watched: bool) -> int:
    """The payload's end."""
    priority = dict(STREAMS)[name]
    with ExitStack() as on_failure:
        stream = lines.stream(priority, lines.open(priority))
        on_failure.callback(stream.close)
        descriptor, written = outlet.make(directory, name, lines.record.uid_shift)
        made.own_descriptor(written)
        source = crew.hold(descriptor, told(name, lines))
        on_failure.callback(source.close)
        watcher = None
        if watched:
            watcher, watching = watcher_pair()
            made.watchers += (watching.detach(),)
        on_failure.pop_all()
    made._sources.append((name, source, watcher, stream))
    return written


def resume(
    container: Running, pid: int, kept: Mapping[str, int], tasks: Tasks, lines: Lines, crew: Crew
) -> list[Relay]:
    """Relays of an earlier instance of the service, of what PID 1 has kept. Who watched pipes is lost: the journal is
    what remains. There may be none now: the first line looks for it.
    """
    found: list[Relay] = []
    for name, priority in STREAMS:
        if name in kept:
            source = crew.hold(kept[name], told(name, lines))
            found.append(Relay(name, source, None, lines.stream(priority), credentials(container, pid)))
    if NAME in kept:
        stream = lines.stream(journal.STDOUT_PRIORITY)
        terminal = Terminal(container.kept, kept[NAME], stream, credentials(container, pid), tasks)
        terminal.readmit({name: descriptor for name, descriptor in kept.items() if name.startswith(CLIENT)})
        found.append(terminal)
    return found


async def find_again(container: Running, pid: int, name: str, path: str, lines: Lines, crew: Crew) -> None:
    """What PID 1 does not have any more, since somebody has stopped the service."""
    descriptor = await crew.find(path)
    if descriptor is None:
        log.warning("%s is not read until the next start of the service: it is stuck", told(name, lines))
        return
    source = crew.hold(descriptor, told(name, lines))
    if not container.state.is_active:
        source.close()
        return
    stream = lines.stream(dict(STREAMS)[name])
    container.relay([Relay(name, source, None, stream, credentials(container, pid))])


def credentials(container: Running, pid: int) -> tuple[int, int, int]:
    return pid, container.uid_shift, container.uid_shift
