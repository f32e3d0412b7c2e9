# SPDX-License-Identifier: GPL-3.0-or-later
"""The outer end of the virtio-serial ports that the agent serves."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import queue
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


class NoAnswerError(Exception):
    """The port was closed or kept silent: the guest is not up, or gone."""


class Ports:
    """Commands in parallel: each takes a free port, waits for one when all are busy."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._free: queue.SimpleQueue[Port] = queue.SimpleQueue()
        for path in paths:
            self._free.put(Port(path))

    @contextlib.contextmanager
    def take(self) -> Iterator[Port]:
        port = self._free.get()
        try:
            yield port
        finally:
            self._free.put(port)


class Port:
    """One command at a time over one virtio-serial port."""

    _ids = itertools.count(1)

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._pending = b""

    def call(self, argv: Sequence[str], environment: dict[str, str], stdin: bytes, *,
             timeout: float, patience: float) -> tuple[int, bytes, bytes]:  # fmt: skip
        """Returns returncode, stdout, stderr.

        The agent kills the command after timeout seconds: subprocess.TimeoutExpired. No answer at all for
        patience seconds: NoAnswerError.
        """
        number = next(self._ids)
        request = {"id": number, "argv": list(argv), "environment": environment, "timeout": timeout,
                   "stdin": base64.b64encode(stdin).decode()}  # fmt: skip
        try:
            reply = self._exchange(number, json.dumps(request).encode(), patience)
        except OSError as error:
            self.close()
            raise NoAnswerError(f"no answer from the machine within {patience:.0f} s: {error}") from error
        stdout, stderr = (base64.b64decode(reply[name]) for name in ("stdout", "stderr"))
        if reply["returncode"] is None:
            raise subprocess.TimeoutExpired(list(argv), timeout, stdout, stderr)
        return reply["returncode"], stdout, stderr

    def close(self) -> None:
        if self._socket:
            self._socket.close()
        self._socket, self._pending = None, b""

    def _exchange(self, number: int, request: bytes, seconds: float) -> dict[str, Any]:
        connection = self._connect()
        deadline = time.monotonic() + seconds
        connection.settimeout(seconds)
        connection.sendall(b"\n" + request + b"\n")  # the first newline ends what an earlier connection left
        while True:
            *lines, self._pending = self._pending.split(b"\n")
            for line in lines:
                with contextlib.suppress(ValueError):
                    reply: dict[str, Any] = json.loads(line)
                    if reply["id"] == number:
                        return reply
            connection.settimeout(max(deadline - time.monotonic(), 0.01))
            data = connection.recv(1 << 20)
            if not data:
                raise ConnectionResetError("the port was closed")
            self._pending += data

    def _connect(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.connect(str(self._path))
        return self._socket
