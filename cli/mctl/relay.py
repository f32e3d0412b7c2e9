# SPDX-License-Identifier: GPL-3.0-or-later
"""The foreground of `mctl run` and its like: one poll loop that copies output and input, forwards signals, and
awaits the end.
"""

from __future__ import annotations

import gc
import os
import select
from typing import TYPE_CHECKING

from .client import CONTAINER, EXEC, MANAGER, ROOT, WAITS, Call
from .failures import RESTARTED, Failure
from .output import complain
from .streams import Detached, Feed, Stream

if TYPE_CHECKING:
    import signal
    from types import FrameType

    from .client import Client
    from .console import Console
else:
    import _signal as signal  # as in signals.py

FORWARDED = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
PATIENCE = 3  # as docker: the third signal to end takes this command away, and leaves the container
IDLE_MILLISECONDS = 5000  # that the pipes may stay silent, but open, after the end of the run
HUNG_UP_MILLISECONDS = 300  # the same for a terminal, which is hung up then
DETACHED = "detached"  # in place of how a run has ended


class Left(Exception):
    """This command goes, the container stays; its output goes on into the journal."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Signals:
    """Signals of this process as bytes in a pipe, so that the poll loop sees them."""

    def __init__(self, *more: signal.Signals) -> None:
        self.fd, self._writing = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._writing, False)
        signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        # What is ignored stays so: nohup(1) and a shell's background jobs mean it.
        heard = [number for number in (*FORWARDED, *more) if signal.getsignal(number) != signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._noted) for number in heard}

    def arrived(self) -> bytes:
        return os.read(self.fd, 4096)

    def close(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        os.close(self.fd)
        os.close(self._writing)

    @staticmethod
    def _noted(number: int, frame: FrameType | None) -> None:
        """The wakeup descriptor has it; a handler must exist for that."""


class Attended:
    """What runs in the foreground: how its end is awaited, where signals go, and what is said where that ends early."""

    __slots__ = ("goes_on", "interface", "path", "service_lost", "wait", "way_back")

    def __init__(
        self, path: str, interface: str, wait: Call, *, service_lost: str, goes_on: str, way_back: str = ""
    ) -> None:
        self.path = path
        self.interface = interface
        self.wait = wait
        self.service_lost = service_lost
        self.goes_on = goes_on
        self.way_back = way_back


def container(path: str, identity: str, *, terminal: bool = False) -> Attended:
    """The service writes its output into the journal first: whatever happens here, the line is kept.

    A terminal's stream outlives the service.
    """
    short = identity[:12]
    lost = f"the service has gone away; what is still to come is in the journal: `mctl logs -f {short}`"
    return Attended(
        path,
        CONTAINER,
        Call(ROOT, MANAGER, "WaitContainer", "s", identity),
        service_lost="" if terminal else lost,
        goes_on=f"container {short} goes on without this command; `mctl stop {short}` ends it",
        way_back=f"container {short} goes on; `mctl attach {short}` comes back to it",
    )


def executed(path: str, *, terminal: bool = False) -> Attended:
    """Its output comes straight from the command, and needs no service."""
    goes_on = "the command goes on in the container, without anybody who reads its output"
    if terminal:
        goes_on = "the command's terminal is hung up"
    return Attended(path, EXEC, Call(path, EXEC, "Wait"), service_lost="", goes_on=goes_on)


class Wait:
    """For the end, in flight; asked again if the service restarts in between, which no container notices."""

    def __init__(self, client: Client, attended: Attended) -> None:
        self._client = client
        self._call = attended.wait
        self._service_lost = attended.service_lost
        self._retries = WAITS
        client.send(self._call)

    def answer(self) -> tuple[str, int] | None:
        try:
            reply = self._client.arrived(self._call)
        except Failure as error:
            if error.name not in RESTARTED or not self._retries:
                raise
            if self._retries == WAITS and self._service_lost:
                complain(self._service_lost)
            self._retries -= 1
            self._client.send(self._call)
            return None
        return (reply[0], reply[1]) if reply else None


class Relay:
    """The poll loop and what it serves."""

    def __init__(
        self, client: Client, attended: Attended, streams: list[Stream], feed: int | None, console: Console | None
    ) -> None:
        self._client = client
        self._attended = attended
        self._streams = {stream.source: stream for stream in streams}
        self._console = console
        self._idle = HUNG_UP_MILLISECONDS if console else IDLE_MILLISECONDS
        self._signals = Signals(*((signal.SIGWINCH, signal.SIGCONT) if console else ()))
        self._wait = Wait(client, attended)
        self._kills: list[Call] = []
        self._impatience = 0
        self._answer: tuple[str, int] | None = None
        self._poller = select.poll()
        for fd in (*self._streams, self._signals.fd, client.fileno()):
            self._poller.register(fd, select.POLLIN)
        self._feed = None if feed is None else Feed(0, feed, self._poller, console.keys if console else None)
        self._resizes: list[Call] = []

    def work(self) -> tuple[str, int]:
        """How the run ended, and its status, when all output has been passed on. Raises Left, Detached and Failure."""
        while self._answer is None or self._streams:
            ready = self._poller.poll(None if self._answer is None else self._idle)
            if not ready:
                break  # something outside holds the pipe, and would hold this command too
            for fd, events in ready:
                self._serve(fd, events)
            self._note_kills()
            self._note_end()
        if self._answer is None:
            raise AssertionError("the loop ends with an answer only")
        return self._answer

    def _note_end(self) -> None:
        if self._answer is None:
            self._answer = self._wait.answer()
            if self._answer is not None:
                self._poller.unregister(self._client.fileno())

    def close(self) -> None:
        for stream in self._streams.values():
            stream.close()
        self._signals.close()

    def _serve(self, fd: int, events: int) -> None:
        if fd in self._streams:
            self._copy(self._streams[fd])
        elif fd == self._signals.fd:
            for number in self._signals.arrived():
                self._hear(number)
        elif self._feed and fd in self._feed.fds:
            self._feed.ready(fd, events)

    def _copy(self, stream: Stream) -> None:
        if not stream.copy():
            self._poller.unregister(stream.source)
            del self._streams[stream.source]
            stream.close()

    def _hear(self, number: int) -> None:
        if number in FORWARDED:
            self._forward(number)
        elif number in (signal.SIGWINCH, signal.SIGCONT):
            self.follow_console()

    def follow_console(self) -> None:
        """It may have another size, and after a stop the modes that a shell has given it."""
        if self._console is None:
            return
        self._console.take()
        self._note_resizes()
        for rows, columns in self._console.news():
            if self._attended.interface == EXEC:  # its stream is the terminal itself
                self._console.resize(*self._streams, rows=rows, columns=columns)
                continue
            resize = Call(self._attended.path, self._attended.interface, "Resize", "qq", rows, columns)
            self._client.send(resize)
            self._resizes.append(resize)

    def _note_resizes(self) -> None:
        """Nobody is told of one that failed: what there is to see on the terminal is the container's."""
        for resize in tuple(self._resizes):
            try:
                arrived = self._client.arrived(resize) is not None
            except Failure:
                arrived = True
            if arrived:
                self._resizes.remove(resize)

    def _forward(self, number: int) -> None:
        if self._answer is not None:
            raise KeyboardInterrupt  # nothing runs any more, and its last output is not wanted
        if self._console and self._console.keyboard:
            raise Left(128 + number)  # what is meant for the container is typed
        if number in (signal.SIGINT, signal.SIGTERM):
            self._impatience += 1
            if self._impatience >= PATIENCE:
                raise Left(128 + number)
        kill = Call(self._attended.path, self._attended.interface, "Kill", "it", number, 0)
        self._client.send(kill)
        self._kills.append(kill)

    def _note_kills(self) -> None:
        """A signal that could not be passed on is worth a line, unless the container has just ended."""
        waiting = []
        for kill in self._kills:
            try:
                if self._client.arrived(kill) is None:
                    waiting.append(kill)
            except Failure as error:
                if "Error.No" not in error.name:  # NotRunning, NoSuchContainer, NoReply
                    complain(f"the signal was not passed on: {error}")
        self._kills = waiting


def attend(
    client: Client,
    attended: Attended,
    streams: list[int],
    *,
    feed: int | None = None,
    console: Console | None = None,
    sinks: tuple[int, int] = (1, 2),
) -> tuple[str, int]:
    """Serves its streams until it ends: output and error, or the one of a terminal. "detached" if the keys were typed.

    Raises Failure where this command has to go earlier; what is attended then goes on.
    """
    gc.freeze()  # else the first collection looks at all that was imported, while somebody waits: 0.6 ms
    gc.enable()  # off since the launcher, for the sake of a quick start
    outputs = [Stream(source, sink) for source, sink in zip(streams, sinks, strict=not console)]
    if console and console.keyboard:
        feed = os.dup(streams[0])  # poll(2) is asked about the two directions apart
    try:
        return _serve(Relay(client, attended, outputs, feed, console), console)
    except Left as left:
        raise Failure(attended.goes_on, status=left.status) from None
    except Detached:
        complain(attended.way_back)
        return DETACHED, 0


def _serve(relay: Relay, console: Console | None) -> tuple[str, int]:
    """Whatever happens, the caller's terminal is then as it was."""
    try:
        relay.follow_console()
        return relay.work()
    finally:
        relay.close()
        if console:
            console.give_back()
