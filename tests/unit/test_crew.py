# SPDX-License-Identifier: GPL-3.0-or-later
"""Pipes that strangers hold as well are read by others, who can be lost."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest

from mctld.lifecycle import crew as crews
from mctld.lifecycle import held as pipes
from mctld.lifecycle.readiness import readable
from unit.reading import Begun, reading

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path

    from mctld.lifecycle.held import Held


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipes, "PATIENCE", 0.2)
    monkeypatch.setattr(crews, "PATIENCE", 0.2)
    monkeypatch.setattr(crews, "AGAIN", 0.1)


def run(work: Awaitable[None]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(work, 60)

    asyncio.run(bounded())


async def read(held: Held) -> bytes:
    while True:
        try:
            return await held.look()
        except BlockingIOError:
            await readable(held.descriptor)


def ends_of(pipe: int) -> int:
    """How many descriptors of it we have."""
    found = os.listdir("/proc/self/fd")
    return sum(os.path.realpath(f"/proc/self/fd/{fd}") == os.path.realpath(f"/proc/self/fd/{pipe}") for fd in found)


def test_what_is_looked_at_stays_until_it_is_taken() -> None:
    async def work() -> None:
        async with reading() as crew:
            source, written = os.pipe()
            held = crew.hold(source, "a pipe")
            with pytest.raises(BlockingIOError):
                await held.look()
            os.write(written, b"one two")
            assert await read(held) == await read(held) == b"one two"
            await held.take(4)
            assert await read(held) == b"two"
            await held.take(1)
            await held.take(1)  # before anybody has seen what was looked at meanwhile
            assert await read(held) == b"o"
            await held.take(1)
            os.close(written)
            assert await read(held) == b""
            held.close()

    run(work())


def test_what_was_asked_for_is_done_though_the_service_is_gone() -> None:
    async def work() -> None:
        source, written = os.pipe2(os.O_NONBLOCK)
        kept = os.dup(source)
        async with reading() as crew:
            held = crew.hold(source, "a pipe")
            os.write(written, b"told, not told")
            await read(held)
            await held.take(6)
            held.close()
        assert os.read(kept, 100) == b"not told"
        for descriptor in (kept, written):
            os.close(descriptor)

    run(work())


@pytest.mark.usefixtures("hasty")
def test_who_is_stuck_is_set_aside_and_another_does_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        begun = Begun()
        async with reading(begun) as crew:
            source, written = os.pipe()
            held = crew.hold(source, "a pipe")
            with pytest.raises(BlockingIOError):
                await held.look()
            os.kill(begun.pids[0], signal.SIGSTOP)
            os.write(written, b"on")
            assert await read(held) == b"on"
            assert begun.aside == begun.pids[:1]
            os.kill(begun.pids[0], signal.SIGCONT)
            os.close(written)
            held.close()
        assert len(begun.pids) == 2

    run(work())
    assert not [record for record in caplog.records if "is not read" in record.getMessage()]  # it was


@pytest.mark.usefixtures("hasty")
def test_no_more_than_some_get_stuck(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crews, "MOST", 1)

    async def work() -> None:
        begun = Begun()
        async with reading(begun) as crew:
            source, written = os.pipe()
            held = crew.hold(source, "a pipe")
            with pytest.raises(BlockingIOError):
                await held.look()
            os.kill(begun.pids[0], signal.SIGSTOP)
            os.write(written, b"on")
            looking = asyncio.ensure_future(read(held))
            while "a pipe is not read" not in caplog.text:
                await asyncio.sleep(0.01)
            os.kill(begun.pids[0], signal.SIGCONT)
            assert await looking == b"on"
            os.close(written)
            held.close()
        assert len(begun.pids) == 1

    run(work())


@pytest.mark.usefixtures("hasty")
def test_who_is_killed_is_replaced_and_nothing_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        begun = Begun()
        async with reading(begun) as crew:
            source, written = os.pipe()
            held = crew.hold(source, "a pipe")
            with pytest.raises(BlockingIOError):
                await held.look()
            os.kill(begun.pids[0], signal.SIGSTOP)
            os.write(written, b"told, not told")
            looking = asyncio.ensure_future(read(held))
            await asyncio.sleep(0)
            os.kill(begun.pids[0], signal.SIGKILL)
            assert await looking == b"told, not told"
            await held.take(6)
            assert await read(held) == b"not told"
            os.close(written)
            held.close()

    run(work())
    assert "mctl-reader has ended" in caplog.text


def test_ours_is_never_the_last_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is closed before anybody else has it stays open until then."""

    async def work() -> None:
        monkeypatch.setattr(crews, "MOST", 0)
        async with reading() as crew:
            source, written = os.pipe()
            crew.hold(source, "a pipe").close()
            assert ends_of(written) == 2
            monkeypatch.setattr(crews, "MOST", 1)
            other, its_end = os.pipe()
            held = crew.hold(other, "another")
            os.close(its_end)
            assert await read(held) == b""
            assert ends_of(written) == 1
            held.close()
            os.close(written)

    run(work())


def test_a_fifo_is_opened_by_a_reader(tmp_path: Path) -> None:
    async def work() -> None:
        path = tmp_path / "fifo"
        os.mkfifo(path)
        written = os.open(path, os.O_RDWR)
        os.write(written, b"there")
        async with reading() as crew:
            found = await crew.find(str(path))
            assert found is not None
            assert os.read(found, 100) == b"there"
            os.close(found)
        os.close(written)

    run(work())


def test_readers_end_when_there_is_no_pipe_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crews, "LINGER", 0.0)

    async def work() -> None:
        begun = Begun()
        async with reading(begun) as crew:
            source, written = os.pipe()
            crew.hold(source, "a pipe").close()
            while os.path.exists(f"/proc/{begun.pids[0]}"):
                await asyncio.sleep(0.01)
            os.close(written)

    run(work())
