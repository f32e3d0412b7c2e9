# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl-reader: looks into pipes that strangers hold as well, since it can be lost and the service cannot.

Whoever has a pipe open can keep its lock for as long as they like: they splice(2) from, or write(2) memory of, a file
whose file system is in user space (FUSE) and does not answer. All others then wait in a sleep that no signal ends,
who close the pipe too (pipe_release in fs/pipe.c of Linux).

Readers of the same pipes are alike: each demand comes through the pipe's own socket, whoever has it, and is taken out
there by one of them. So nothing has to be handed over when one is stuck; another does the rest.
"""

from __future__ import annotations

# Not signal and socket: they would double what it takes to begin, which an owner's first start waits for.
import _signal  # type: ignore[import-not-found]  # the half of it that is in C
import _socket
import os
import select
import struct
import time

from .glass import Glass

DEMAND = struct.Struct("=III")  # its number, how many bytes are to be taken out, then how many to be looked at
ANSWER = struct.Struct("=Ii")  # the number again, and one of those below or an errno; then bytes
INT = struct.Struct("=i")
FLAGS = _socket.MSG_CMSG_CLOEXEC | _socket.MSG_DONTWAIT
SOME, NOTHING, END = 0, -1, -2
LOOK_MAX = 64 << 10
HOLD, FIND, PING = b"hold", b"find", b"ping"
CONTROL = 0  # the descriptor
GRACE = 5.0  # seconds that a pipe stays open: PID 1, which may have it too, must not be the last to close it


class Reader:
    """Wires do not block."""

    def __init__(self, control: int) -> None:
        self._control: _socket.socket | None = _socket.socket(fileno=control)
        self._glass = Glass()
        self._pipes: dict[int, int] = {}  # by their wire
        self._over: list[tuple[float, int]] = []  # pipes, and when to close them
        self._poll = select.epoll()
        self._poll.register(control, select.EPOLLIN)

    def serve(self) -> None:
        """Until the service is gone, or has no use for it any more and all that it has asked for is done."""
        while self._control or self._pipes:
            for number, _ in self._poll.poll(self._timeout()):
                if number in self._pipes:
                    self._satisfy(number, self._pipes[number])
                elif self._control:
                    self._hear(self._control)
            self._close_what_is_over()

    def _hear(self, control: _socket.socket) -> None:
        try:
            said, ancillary, _, _ = control.recvmsg(16, _socket.CMSG_SPACE(2 * INT.size), FLAGS)
        except (BlockingIOError, ConnectionResetError):  # what it has asked for before is still there
            return
        descriptors = [number for _, _, data in ancillary for (number,) in INT.iter_unpack(data)]
        if said == HOLD:
            pipe, wire = descriptors
            self._pipes[wire] = pipe
            self._poll.register(wire, select.EPOLLIN)
        elif said == FIND:
            self._find(*descriptors)
        elif said == PING:
            control.send(PING)
        else:
            self._poll.unregister(control)
            control.close()
            self._control = None

    def _find(self, place: int, wire: int) -> None:
        """To open a FIFO takes its lock as well. place: it, O_PATH."""
        opened = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        back = _socket.socket(fileno=wire)
        _give(back, opened)
        back.close()
        self._over += [(time.monotonic() + GRACE, each) for each in (opened, place)]

    def _satisfy(self, wire: int, pipe: int) -> None:
        try:
            demand = os.read(wire, DEMAND.size)
        except (BlockingIOError, ConnectionResetError):  # another was faster; answers are not wanted any more
            return
        if demand:
            which, taken, looked = DEMAND.unpack(demand)
            outcome, found = self._done(pipe, taken, looked)
            _answer(wire, ANSWER.pack(which, outcome) + found)
            return
        self._poll.unregister(wire)
        del self._pipes[wire]
        os.close(wire)
        self._over.append((time.monotonic() + GRACE, pipe))

    def _done(self, pipe: int, taken: int, looked: int) -> tuple[int, bytes]:
        try:
            self._glass.take(pipe, taken)
            found = self._glass.look(pipe, min(looked, LOOK_MAX))
        except BlockingIOError:
            return NOTHING, b""
        except OSError as error:  # of the file that a page of it came from
            return error.errno or 0, b""
        return (SOME if found else END), found

    def _timeout(self) -> float | None:
        return max(self._over[0][0] - time.monotonic(), 0) if self._over else None

    def _close_what_is_over(self) -> None:
        while self._over and self._over[0][0] <= time.monotonic():
            os.close(self._over.pop(0)[1])


def _answer(wire: int, message: bytes) -> None:
    try:
        os.write(wire, message)
    except OSError:
        return  # nobody wants to know any more


def _give(back: _socket.socket, opened: int) -> None:
    try:
        back.sendmsg([FIND], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, INT.pack(opened))])
    except OSError:
        return  # nobody waits any more


def main() -> None:
    for number in (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP):
        _signal.signal(number, _signal.SIG_IGN)  # we end with the service, once what the journal has is taken out
    Reader(CONTROL).serve()
    os._exit(0)
