# SPDX-License-Identifier: GPL-3.0-or-later
"""A terminal's master: to the socket that the caller listens on, or relayed to the caller's own terminal."""

from __future__ import annotations

import os
import select
import signal
import socket

from ..errors import InvalidArgs, SetupFailed
from ..runtime.terminal import NAME, resize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .birth import Child
    from .readiness import Readiness

CHUNK = 64 << 10


def check(path: str, *, terminal: bool, relayed: bool) -> None:
    """Before anything is made. relayed: this process stays and can copy."""
    if path and not terminal:
        raise InvalidArgs("--console-socket is given, and process.terminal is not true: there is nothing to send")
    if terminal and not path and not relayed:
        raise InvalidArgs("process.terminal is true: --console-socket must say who takes the terminal")


def send(path: str, child: Child) -> None:
    """One message: the name of the terminal, and its descriptor (runc's docs/terminals.md)."""
    master = child.received[NAME]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(path)
            socket.send_fds(connection, [b"/dev/ptmx"], [master])
    except OSError as error:
        raise SetupFailed(f"send the terminal to {path}", error.strerror) from error


class Relay:
    """Between our standard streams, raw if they are a terminal, and the container's."""

    def __init__(self, master: int, heard: Readiness | None = None) -> None:
        self._master, self._heard = master, heard
        self._raw = os.isatty(0)

    def run(self) -> None:
        """Returns when nobody holds the other side any more."""
        import termios
        import tty

        before = termios.tcgetattr(0) if self._raw else None
        self._fit()
        signal.signal(signal.SIGWINCH, lambda _number, _frame: self._fit())
        try:
            if before:
                tty.setraw(0)
            self._copy()
        finally:
            if before:
                termios.tcsetattr(0, termios.TCSADRAIN, before)

    def _fit(self) -> None:
        if self._raw:
            columns, rows = os.get_terminal_size(0)
            resize(self._master, rows, columns)

    def _copy(self) -> None:
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        poll.register(0, select.POLLIN)
        listener = self._heard.fileno() if self._heard else -1
        if self._heard:
            poll.register(listener, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if self._heard and listener in ready and self._heard.hear():
                poll.unregister(listener)
            if self._master in ready and not _pass_on(self._master, 1):
                return
            if 0 in ready and not _pass_on(0, self._master):
                poll.unregister(0)


def _pass_on(source: int, target: int) -> bool:
    """False at the end; a terminal whose other side is closed says EIO."""
    try:
        data = os.read(source, CHUNK)
    except OSError:
        return False
    while data:
        data = data[os.write(target, data) :]
        if not data:
            return True
    return False
