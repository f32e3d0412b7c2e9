# SPDX-License-Identifier: GPL-3.0-or-later
"""A spawner without systemd and without mctld."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from mctld.runtime import spawner as spawner_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def address_of(tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Starts a spawner in a process of its own, as systemd does: its socket is descriptor 3."""
    path = str(tmp_path / "spawner.sock")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    started: list[int] = []

    def start() -> str:
        listener.bind(path)
        listener.listen()
        started.append(os.fork())
        if started[0] == 0:
            os.dup2(listener.fileno(), spawner_module.LISTEN_FD)
            with open("/proc/self/oom_score_adj", "w") as file:
                file.write("100")  # as with systemd's OOMScoreAdjust, it is not for the payloads
            os.umask(0o027)  # nor is UMask=
            try:
                spawner_module.main()
            finally:
                os._exit(1)
        return path

    yield start
    listener.close()
    for pid in started:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.fixture
def address(address_of: Callable[[], str]) -> str:
    return address_of()
