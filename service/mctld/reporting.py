# SPDX-License-Identifier: GPL-3.0-or-later
"""What the service says of itself: on standard error, with the priority that journald reads, as much as is asked for.

Events and the record of refusals are no such messages: they are told at every level.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
from typing import TYPE_CHECKING

from .chronicle import IDENTIFIER as IDENTIFIER  # the same for all that the service says
from .chronicle import send

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    class Output(Protocol):
        def write(self, text: str, /) -> object: ...
        def flush(self) -> object: ...


NOTICE = logging.INFO + 5  # Python has no such level
LEVELS: Mapping[str, int] = {  # syslog(3), most urgent first; Python does not tell the first three apart
    "emerg": logging.CRITICAL, "alert": logging.CRITICAL, "crit": logging.CRITICAL, "err": logging.ERROR,
    "warning": logging.WARNING, "notice": NOTICE, "info": logging.INFO, "debug": logging.DEBUG,
}  # fmt: skip
TARGETS = ("journal", "console", "null")
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (NOTICE, 5), (logging.INFO, 6))
_DEBUG = 7
_PREFIX = re.compile(r"^<([0-7])>", re.MULTILINE)


class Prefixed(logging.Formatter):
    """sd-daemon(3): each line begins with its priority, also those of a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{priority(record.levelno)}>"
        return "\n".join(prefix + line for line in super().format(record).split("\n"))


class Stream:
    """A stream of the journal's that never makes its writer wait. What it does not take, or where it is broken because
    journald was stopped with its sockets, goes the way of entries, which are kept until there is a journal again.
    """

    def __init__(self, fd: int, otherwise: Callable[..., None] = send) -> None:
        self._socket = socket.socket(fileno=os.dup(fd))
        self._otherwise = otherwise
        self._rest = b""  # of a line that has begun

    def write(self, text: str) -> None:
        if self._rest:
            self._rest = self._rest[self._sent(self._rest) :]
        data = text.encode(errors="replace")
        sent = 0 if self._rest else self._sent(data)
        if sent:
            self._rest += data[sent:]
            return
        found = _PREFIX.search(text)
        self._otherwise(_PREFIX.sub("", text).rstrip("\n"), PRIORITY=int(found[1]) if found else 6)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        self._socket.close()

    def _sent(self, data: bytes) -> int:
        try:
            return self._socket.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            return 0


class Reporting:
    """The level and the target, by the names of org.freedesktop.LogControl1(5)."""

    def __init__(self, target: str = "console", stream: Output | None = None) -> None:
        self._root = logging.getLogger()
        self._handler = logging.StreamHandler(stream or sys.stderr)
        self._root.addHandler(self._handler)
        self.level = "info"
        self.target = target

    @classmethod
    def open(cls) -> Reporting:
        fd = sys.stderr.fileno()
        return cls("journal", Stream(fd)) if is_journal(fd, os.environ) else cls()

    @property
    def level(self) -> str:
        return self._level

    @level.setter
    def level(self, name: str) -> None:
        self._level = name
        self._root.setLevel(LEVELS[name])

    @property
    def target(self) -> str:
        return self._target

    @target.setter
    def target(self, name: str) -> None:
        self._target = name
        self._handler.setFormatter(Prefixed() if name == "journal" else logging.Formatter())
        self._handler.setLevel(logging.CRITICAL + 1 if name == "null" else logging.NOTSET)


def priority(level: int) -> int:
    """Of syslog(3)."""
    return next((found for least, found in _PRIORITIES if level >= least), _DEBUG)


def is_journal(fd: int, environment: Mapping[str, str]) -> bool:
    """systemd.exec(5), $JOURNAL_STREAM: it may have been inherited by one whose output goes elsewhere."""
    told = os.fstat(fd)
    return environment.get("JOURNAL_STREAM") == f"{told.st_dev}:{told.st_ino}"
