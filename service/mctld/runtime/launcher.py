# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that PID 1 executes to have a container started as a service: what PID 1 has given to it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..kernel import process
from .given import FIRST_SOCKET

if TYPE_CHECKING:
    from types import TracebackType


class Launcher:
    """Used as a context manager: until its end no other process can be meant by its pid."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._pidfd = os.pidfd_open(pid)

    def __enter__(self) -> Launcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._pidfd)

    def environment(self) -> dict[str, str]:
        with open(f"/proc/{self._pid}/environ", "rb") as file:
            variables = file.read().split(b"\0")
        return dict(os.fsdecode(variable).split("=", 1) for variable in variables if b"=" in variable)

    def take_socket(self, number: int) -> int:
        """A copy of the descriptor that PID 1 has passed as the one of that number, from 0 on."""
        return process.take_descriptor(self._pidfd, FIRST_SOCKET + number)

    def path(self, path: str) -> str:
        """Where that process finds it: PID 1 may show it to nobody else."""
        return f"/proc/{self._pid}/root{path}"
