# SPDX-License-Identifier: GPL-3.0-or-later
"""The service's line to the name server."""

from __future__ import annotations

import asyncio
import gc
import socket
from typing import TYPE_CHECKING, Any

import pytest

from mctld.lifecycle.naming import _Line

if TYPE_CHECKING:
    from pathlib import Path


def test_a_server_that_is_killed_before_it_has_read_is_no_surprise(tmp_path: Path) -> None:
    asyncio.run(killed(str(tmp_path / "socket")))


async def killed(path: str) -> None:
    surprises: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: surprises.append(context))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        reader, writer = await asyncio.open_unix_connection(path)
        accepted, _ = listening.accept()
    line = _Line(reader, writer)
    asked = asyncio.create_task(line.say(b"hello\n"))
    await asyncio.sleep(0.1)
    kept: Any = writer.transport.get_protocol()
    accepted.close()  # unread data in it: ECONNRESET, not an end
    with pytest.raises(ConnectionResetError):
        await asked
    await line.ended
    future = kept._closed
    assert future.done()
    assert not future._log_traceback, "the future of StreamReaderProtocol would be logged"
    del line, reader, writer, asked, kept, future
    gc.collect()
    assert surprises == []
