# SPDX-License-Identifier: GPL-3.0-or-later
"""The three standard descriptors of a payload."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..systemd import journal
from .relay import Relay

if TYPE_CHECKING:
    import socket

    from ..store import Record

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

    def relays(self, credentials: tuple[int, int, int]) -> list[Relay]:
        """From here on the descriptors on our side belong to the relays."""
        sources, self._sources = self._sources, []
        return [Relay(*source, credentials) for source in sources]

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


def resume(record: Record, unit: str, pid: int, sources: dict[str, int]) -> list[Relay]:
    """Relays of an earlier instance of the service, whose watchers are lost: the journal is what remains."""
    credentials = (pid, record.uid_shift, record.uid_shift)
    return [
        Relay(name, sources[name], None, journal.open_stream(record.spec.name, unit, priority), credentials)
        for name, priority in STREAMS
        if name in sources
    ]
