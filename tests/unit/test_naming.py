# SPDX-License-Identifier: GPL-3.0-or-later
"""The service's line to the name server."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from mctld.lifecycle.naming import Naming, _Line
from mctld.lifecycle.tasks import Tasks
from mctld.store import Record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from mctld.spec import Spec


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


class Server:
    """Answers every line that it reads, until it ends as a server does that had nobody left to serve."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.ending = False
        self.ended = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            while line := await reader.readline():
                if self.ending:
                    self.ending = False
                    self.ended += 1
                    return
                self.told.append(json.loads(line))
                writer.write(b'{"failed": {}}\n')


@contextlib.asynccontextmanager
async def naming(path: Path, server: Server) -> AsyncIterator[Naming]:
    tasks = Tasks()
    listening = await asyncio.start_unix_server(server.serve, path)
    made = Naming(str(path), tasks)
    yield made
    made.close()
    await tasks.finish(10)
    listening.close()


def record(make_spec: Callable[..., Spec], number: int) -> Record:
    return Record(str(number) * 32, 0, 65_536, 1, make_spec(name=f"c{number}"))


def test_a_server_that_ends_while_it_is_told_is_told_again(
    tmp_path: Path, make_spec: Callable[..., Spec], caplog: pytest.LogCaptureFixture
) -> None:
    asyncio.run(ends(tmp_path / "socket", make_spec))
    assert caplog.records == []


async def ends(path: Path, make_spec: Callable[..., Spec]) -> None:
    server = Server()
    async with naming(path, server) as names:
        await names.put(record(make_spec, 1), [])
        server.ending = True
        await names.put(record(make_spec, 2), [])
        assert server.ended == 1
        assert any("2" * 32 in said["all"] for said in server.told if "all" in said)


def test_nobody_there_is_said_as_it_is(
    tmp_path: Path, make_spec: Callable[..., Spec], caplog: pytest.LogCaptureFixture
) -> None:
    async def put() -> None:
        await Naming(str(tmp_path / "socket"), Tasks()).put(record(make_spec, 1), [])

    asyncio.run(put())
    assert [each.args for each in caplog.records] == [("No such file or directory",)]
