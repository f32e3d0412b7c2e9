# SPDX-License-Identifier: GPL-3.0-or-later
"""--ssh of `mctl build`, and what RUN --mount=type=ssh shows of it: the caller's agent, for as long as the step takes.

What a step asks passes through here: ssh-agent(1) answers its own user and root, and a container's root is neither.
"""

from __future__ import annotations

import os
import selectors
import socket
import stat
import threading
from contextlib import suppress

from ..failures import UsageError

DEFAULT = "default"
VARIABLE = "SSH_AUTH_SOCK"
TARGET = "/run/buildkit/ssh_agent.{}"  # where docker's builds find it
AT_ONCE = 64
PIECE = 64 << 10


def agent(flag: str, text: str) -> tuple[str, str]:
    """An id, and the path of a socket."""
    name, _, place = text.partition("=")
    place = place or os.environ.get(VARIABLE, "")
    if not name:
        raise UsageError(f"{flag} {text!r} is not ID or ID=SOCKET")
    if not place:
        raise UsageError(f"{flag} {text}: {VARIABLE} is not set: start ssh-agent(1), or give {flag} {name}=SOCKET")
    try:
        found = os.stat(place)
    except OSError as error:
        raise UsageError(f"{flag} {text}: {place}: {error.strerror}") from None
    if not stat.S_ISSOCK(found.st_mode):
        raise UsageError(
            f"{flag} {text}: {place} is no socket: ssh-add(1) gives an agent the key, whose socket it takes"
        )
    return name, place


class Relay:
    """A socket at `path`, each of whose connections leads to the agent, until close()."""

    def __init__(self, path: str, place: str) -> None:
        self._place = place
        self._free = threading.Semaphore(AT_ONCE)
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(path)
        self._listening.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """A step that is over has nobody left who could ask: its connections end by themselves."""
        self._listening.shutdown(socket.SHUT_RDWR)  # accept(2) returns
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                asking, _ = self._listening.accept()
            except OSError:
                return
            if self._free.acquire(blocking=False):
                threading.Thread(target=self._serve_one, args=(asking,), daemon=True).start()
            else:
                asking.close()

    def _serve_one(self, asking: socket.socket) -> None:
        try:
            with suppress(OSError), asking, socket.socket(socket.AF_UNIX) as there:  # it hears that the agent is gone
                there.connect(self._place)
                _pass_on(asking, there)
        finally:
            self._free.release()


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    """Until either of them ends."""
    with selectors.DefaultSelector() as ready:
        ready.register(one, selectors.EVENT_READ, other)
        ready.register(other, selectors.EVENT_READ, one)
        while True:
            for key, _ in ready.select():
                data = os.read(key.fd, PIECE)
                if not data:
                    return
                key.data.sendall(data)
