# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that PID 1 executes to have a container started as a service: what PID 1 has given to it."""

from __future__ import annotations

import errno
import os
import signal
from typing import TYPE_CHECKING

from ..kernel import process
from . import cgroup
from .given import FIRST_SOCKET

if TYPE_CHECKING:
    from types import TracebackType


class Launcher:
    """Used as a context manager. Whoever gets its pid after its end is not taken for it."""

    def __init__(self, pid: int, control_group: str) -> None:
        """control_group: of its unit. Raises OSError where it is not there any more."""
        self._pidfd = os.pidfd_open(pid)
        try:
            self._directory = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except BaseException:
            os.close(self._pidfd)
            raise
        try:
            self._prove(control_group)
        except BaseException:
            self._close()
            raise

    def _prove(self, control_group: str) -> None:
        """The descriptor of /proc/PID stays that process's: it is the pidfd's, if that one is still there."""
        signal.pidfd_send_signal(self._pidfd, 0)
        if not cgroup.holds(control_group, self._read("cgroup").decode("utf-8", "replace")):
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))

    def _close(self) -> None:
        os.close(self._directory)
        os.close(self._pidfd)

    def __enter__(self) -> Launcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _read(self, name: str) -> bytes:
        with os.fdopen(os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._directory), "rb") as file:
            return file.read()

    def environment(self) -> dict[str, str]:
        variables = self._read("environ").split(b"\0")
        return dict(os.fsdecode(variable).split("=", 1) for variable in variables if b"=" in variable)

    def take_socket(self, number: int) -> int:
        """A copy of the descriptor that PID 1 has passed as the one of that number, from 0 on."""
        return process.take_descriptor(self._pidfd, FIRST_SOCKET + number)

    def path(self, path: str) -> str:
        """Where that process finds it: PID 1 may show it to nobody else."""
        return f"/proc/self/fd/{self._directory}/root{path}"
