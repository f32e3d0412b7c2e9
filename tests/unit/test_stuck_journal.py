# SPDX-License-Identifier: GPL-3.0-or-later
"""A journald that takes no streams any more: whoever opens one is told, and nobody waits for it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from mctld.systemd import journal

if TYPE_CHECKING:
    from pathlib import Path


def test_a_queue_that_is_full_is_told_and_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "STREAM_SOCKET", str(tmp_path / "stdout"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stuck:
        stuck.bind(journal.STREAM_SOCKET)
        stuck.listen(2)
        opened = [journal.open_stream("web", "mctl-web.scope", 6) for _ in range(3)]
        with pytest.raises(BlockingIOError):
            journal.open_stream("web", "mctl-web.scope", 6)
        assert journal.unreachable() == "Resource temporarily unavailable"
        assert all(stream.getblocking() for stream in opened)  # as payloads expect it
        for stream in opened:
            stream.close()
