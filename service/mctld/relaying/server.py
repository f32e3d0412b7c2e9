# SPDX-License-Identifier: GPL-3.0-or-later
"""The relay: whoever has called is taken from PID 1's socket only when the container has answered.

So nobody is lost: a caller whom the container could not be reached for waits in the socket, and PID 1 starts us, and
the container, anew. Only where a container has just been started and does not answer are callers sent away.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import sys
from typing import TYPE_CHECKING

from systemd import daemon

from .destination import Destination, read
from .pump import pump

if TYPE_CHECKING:
    from collections.abc import Sequence

IDLE, UNANSWERED, LOST, LEFT = 0, 1, 3, 4  # exit statuses; mctl-activate@.service and mctl-wake know them
PATIENCE = 60.0  # seconds that a container's program may take until it listens
PAUSE = 0.05  # seconds before it is asked again
LINGER = 60.0  # seconds without a connection, where the container is to stay as it is
CONNECTIONS_MAX = 4_096  # two descriptors each: LimitNOFILE= of mctl-activate@.service


class Relay:
    def __init__(self, destination: Destination, listeners: Sequence[socket.socket], patience: float) -> None:
        self._destination = destination
        self._listeners = listeners
        self._patience = patience
        self._room = asyncio.Semaphore(CONNECTIONS_MAX)
        self._pumps: set[asyncio.Task[None]] = set()
        self._callers = 0  # who is served, or waits to be
        self._status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._leaving: asyncio.TimerHandle | None = None

    async def serve(self) -> int:
        """The exit status. Connections that are open then end."""
        self._rest()
        serving = [asyncio.ensure_future(self._listen(listener)) for listener in self._listeners]
        for each in serving:
            each.add_done_callback(self._has_failed)
        try:
            return await self._status
        finally:
            for task in (*serving, *self._pumps):
                task.cancel()
            await asyncio.gather(*serving, *self._pumps, return_exceptions=True)

    async def _listen(self, listener: socket.socket) -> None:
        port = self._destination.ports[listener.getsockname()[1]]
        has_answered = False
        while True:
            await self._room.acquire()
            await _readable(listener)
            self._stay()
            self._callers += 1
            container = await self._connect(port, has_answered=has_answered)
            if container is None:
                return
            has_answered = True
            caller = _accepted(listener)
            if caller is None:  # gone again
                container.close()
                self._ended()
            else:
                self._start(caller, container)

    async def _connect(self, port: int, *, has_answered: bool) -> socket.socket | None:
        """None: there is no hope, and the relay ends. Refused: it runs, and its program does not listen yet."""
        end = asyncio.get_running_loop().time() + self._patience
        while True:
            try:
                return await _connected(self._destination.address, port)
            except ConnectionRefusedError:
                why = f"nothing listens at its port {port}"
            except OSError as error:
                if error.errno not in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT):
                    raise
                if has_answered:  # it has ended
                    self._end(LOST)
                    return None
                why = f"port {port} of {self._destination.address} is not reached: {error.strerror}"
                end = 0
            if asyncio.get_running_loop().time() >= end:
                self._send_away(why)
                return None
            await asyncio.sleep(PAUSE)

    def _send_away(self, why: str) -> None:
        print(f"The container does not answer: {why}", file=sys.stderr)
        dismiss(self._listeners)
        self._end(UNANSWERED)

    def _start(self, caller: socket.socket, container: socket.socket) -> None:
        task = asyncio.ensure_future(pump(caller, container))
        self._pumps.add(task)
        task.add_done_callback(self._pumps.discard)
        task.add_done_callback(lambda _: self._ended())

    def _ended(self) -> None:
        self._room.release()
        self._callers -= 1
        if not self._callers:
            self._rest()

    def _has_failed(self, listening: asyncio.Task[None]) -> None:
        """For want of descriptors, say: PID 1 begins anew with whoever waits."""
        error = None if listening.cancelled() else listening.exception()
        if error is not None and not self._status.done():
            self._status.set_exception(error)

    def _rest(self) -> None:
        self._stay()
        idle = self._destination.idle
        time, status = (LINGER, LEFT) if idle is None else (idle, IDLE)
        self._leaving = asyncio.get_running_loop().call_later(time, self._end, status)

    def _stay(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()

    def _end(self, status: int) -> None:
        if not self._status.done():
            self._status.set_result(status)


def dismiss(listeners: Sequence[socket.socket]) -> None:
    """Who waits there learns that nobody will answer."""
    for listener in listeners:
        while caller := _accepted(listener):
            caller.close()


def _accepted(listener: socket.socket) -> socket.socket | None:
    try:
        caller, _ = listener.accept()
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS):
            raise
        return None  # of the caller's connection, accept(2)
    caller.settimeout(0)
    _without_delay(caller)
    return caller


async def _connected(address: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        await asyncio.get_running_loop().sock_connect(made, (address, port))
    except BaseException:
        made.close()
        raise
    _without_delay(made)
    return made


def _without_delay(connection: socket.socket) -> None:
    """What is ready on one side goes out on the other: tcp(7)."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


async def _readable(listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(listener, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(listener)


async def serve(destination: Destination, listeners: Sequence[socket.socket], patience: float = PATIENCE) -> int:
    return await Relay(destination, listeners, patience).serve()


def main() -> int:
    listeners = [socket.socket(fileno=number) for number in daemon.listen_fds()]
    for listener in listeners:
        listener.settimeout(0)
    destination = read(os.environ["RUNTIME_DIRECTORY"])
    if destination is None:  # mctl-wake has said why
        dismiss(listeners)
        return UNANSWERED
    return asyncio.run(serve(destination, listeners))
