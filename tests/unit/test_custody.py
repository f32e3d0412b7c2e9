# SPDX-License-Identifier: GPL-3.0-or-later
"""A stream of the journal's is not a payload's before journald has given its own end to PID 1."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

import pytest

from mctld.lifecycle import custody
from mctld.lifecycle.custody import Custody, unread
from mctld.lifecycle.stdio import Stdio
from mctld.lifecycle.stream import JournalStream
from mctld.systemd import journal

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from pathlib import Path

HEADER = b"web\nmctl-web.scope\n6\n0\n0\n0\n0\n"


@pytest.fixture
def journald(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Its socket, which PID 1 has as well: it outlives the process."""
    monkeypatch.setattr(journal, "STREAM_SOCKET", str(tmp_path / "stdout"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(journal.STREAM_SOCKET)
        listening.listen()
        listening.settimeout(0)
        yield listening


def opened() -> socket.socket:
    return journal.open_stream("web", "mctl-web.scope", 6)


def in_time(work: Coroutine[None, None, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 20))


async def read(end: socket.socket) -> bytes:
    """As soon as there is something."""
    end.settimeout(0)
    return await asyncio.get_running_loop().sock_recv(end, 1024)


async def still(task: asyncio.Task[bool]) -> bool:
    """It has been let go on, and is not done."""
    for _ in range(20):
        await asyncio.sleep(0)
    return not task.done()




def test_the_header_and_an_empty_line_are_read_first(journald: socket.socket) -> None:
    async def run() -> None:
        with opened() as stream:
            waits = asyncio.ensure_future(Custody().has(stream))
            assert await still(waits)
            end = journald.accept()[0]
            assert await still(waits)
            with end:
                assert await read(end) == HEADER
                assert await read(end) == b"\n"  # of which there is no entry
                assert await waits
                assert not unread(stream)

    in_time(run())


@pytest.mark.parametrize("reads", [0, 1])
def test_journald_is_killed_before_it_has_given_it(journald: socket.socket, reads: int) -> None:
    async def run() -> None:
        with opened() as stream:
            waits = asyncio.ensure_future(Custody().has(stream))
            end = journald.accept()[0]
            for _ in range(reads):
                assert await read(end) == HEADER
            end.close()
            assert not await waits

    in_time(run())


def test_nobody_listens_any_more(journald: socket.socket) -> None:
    async def run() -> None:
        with opened() as stream:
            waits = asyncio.ensure_future(Custody().has(stream))
            assert await still(waits)
            journald.close()
            assert not await waits

    in_time(run())


def test_only_the_first_one_waits_for_a_journald_that_stands_still(
    journald: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert journald
    monkeypatch.setattr(custody, "PATIENCE", 0.01)

    async def run() -> None:
        kept = Custody()
        with opened() as first, opened() as second:
            assert await kept.has(first)
            monkeypatch.setattr(custody, "PATIENCE", 1000.0)
            assert await kept.has(second)

    in_time(run())
    assert caplog.messages == ["journald has not taken over a stream within 0.01 seconds: is it stuck?"]


def test_a_payload_gets_what_has_not_hung_up(journald: socket.socket) -> None:
    async def run() -> None:
        stdio = Stdio({})
        stdio.put_straight("stdout", opened)
        first = stdio.payload["stdout"]
        handed = asyncio.ensure_future(stdio.hand_over(Custody()))
        loop = asyncio.get_running_loop()
        killed = (await loop.sock_accept(journald))[0]
        assert await read(killed) == HEADER
        killed.close()
        with (await loop.sock_accept(journald))[0] as end:
            assert [await read(end), await read(end)] == [HEADER, b"\n"]
            await handed
            assert stdio.payload["stdout"] != first
            with socket.socket(fileno=stdio.payload["stdout"]) as given:
                given.send(b"line\n")
                assert await read(end) == b"line\n"
                given.detach()
            stdio.close_payload()

    in_time(run())


def test_a_relay_opens_anew_what_has_hung_up(journald: socket.socket) -> None:
    def never() -> None:
        raise AssertionError

    async def run() -> None:
        relayed = JournalStream(opened, never, opened())  # type: ignore[arg-type]
        journald.accept()[0].close()
        await relayed.hand_over(Custody())
        assert await relayed.send(memoryview(b"line\n"), (os.getpid(), os.getuid(), os.getgid())) == 5
        with journald.accept()[0] as end:
            found = await read(end)
            while not found.endswith(b"line\n"):
                found += await read(end)
            assert found == HEADER + b"line\n"
        relayed.close()

    in_time(run())
