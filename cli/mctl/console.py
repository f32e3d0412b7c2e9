# SPDX-License-Identifier: GPL-3.0-or-later
"""The caller's terminal as screen and keyboard of a container's own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .failures import UsageError
from .keys import DEFAULT, Keys, sequence

if TYPE_CHECKING:
    from .parser import Arguments


class Console:
    """With a keyboard what is typed goes into the container as it is, signal keys included."""

    def __init__(self, *, keyboard: bool, keys: bytes = DEFAULT) -> None:
        if keyboard and not os.isatty(0):
            raise UsageError("the input device is not a TTY: call this from a terminal, or leave out -t or -i")
        self.keyboard = keyboard
        self.keys: Keys | None = Keys(keys)
        self._told: tuple[int, int] | None = None
        self._before: list[Any] | None = None

    @classmethod
    def of_caller(cls, arguments: Arguments, *, keyboard: bool) -> Console:
        """keyboard: what is typed goes into the container."""
        keys = arguments.options.get("detach_keys")
        return cls(keyboard=keyboard, keys=DEFAULT if keys is None else sequence("--detach-keys", keys))

    def options(self) -> dict[str, tuple[str, Any]]:
        """For RunContainer and StartAttached."""
        self._told = size()
        return {"TerminalSize": ("(qq)", self._told)}

    def news(self) -> list[tuple[int, int]]:
        """Sizes that the container's terminal is to be given; the second makes programs draw anew that know the first.

        That is for those who come to a terminal whose size they do not know.
        """
        now, told = size(), self._told
        self._told = now
        if told is None and now[0]:
            return [(max(now[0] - 1, 1), now[1]), now]
        return [] if now == told else [now]

    def resize(self, *masters: int, rows: int, columns: int) -> None:
        """Terminals that are held here."""
        import fcntl
        import struct
        import termios

        for master in masters:
            fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def take(self) -> None:
        """Keys come as they are pressed and mean nothing here; to be called again after a stop."""
        if not self.keyboard:
            return
        import termios
        import tty

        if self._before is None:
            self._before = termios.tcgetattr(0)
        tty.setraw(0, termios.TCSANOW)

    def give_back(self) -> None:
        """As it was; where it has gone away there is nothing to do."""
        if self._before is None:
            return
        import termios

        try:
            termios.tcsetattr(0, termios.TCSADRAIN, self._before)
        except termios.error:
            return


def size() -> tuple[int, int]:
    """Rows and columns; 0, 0 where there is no terminal."""
    for fd in (0, 1, 2):
        try:
            columns, rows = os.get_terminal_size(fd)
        except OSError:
            continue
        return min(rows, 0xFFFF), min(columns, 0xFFFF)
    return 0, 0
