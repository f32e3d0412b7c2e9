# SPDX-License-Identifier: GPL-3.0-or-later
"""Output on its way to the journal is in the payload's pipe until the journal has it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest

from mctld.lifecycle import epilogue, stream
from mctld.lifecycle.epilogue import LINE_MAX, Epilogue
from mctld.lifecycle.relay import Relay
from mctld.lifecycle.stream import JournalStream
from mctld.runtime.glass import Glass
from mctld.spec import LABEL_MAX, LABELS_MAX
from unit.reading import Begun, reading

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OURSELVES = (os.getpid(), os.getuid(), os.getgid())


def never() -> Epilogue:
    raise AssertionError("its first process is there")


def once(journal: socket.socket) -> JournalStream:
    """It cannot be opened anew."""
    return JournalStream(journal.dup, never, journal)


def test_what_is_looked_at_is_still_there() -> None:
    reading, writing = os.pipe2(os.O_NONBLOCK)
    glass = Glass()
    with pytest.raises(BlockingIOError):
        glass.look(reading, 100)
    os.write(writing, b"one ")
    os.write(writing, b"two")
    assert glass.look(reading, 100) == glass.look(reading, 100) == b"one two"
    assert glass.look(reading, 3) == os.read(reading, 3) == b"one"
    os.close(writing)
    assert glass.look(reading, 100) == b" two"
    os.read(reading, 100)
    assert glass.look(reading, 100) == b""
    os.close(reading)
    glass.close()


def test_packets_of_one_pipe_do_not_come_out_of_another() -> None:
    """O_DIRECT of pipe(2), which a payload may set by itself: read(2) gets one packet at a time."""
    glass = Glass()
    hostile, other = _packets(b"one ", b"two "), _packets()
    os.write(other[1], b"of somebody else")
    assert glass.look(hostile[0], 100) == b"one two "
    assert glass.look(other[0], 100) == b"of somebody else"
    glass.take(hostile[0], 3)
    assert glass.look(hostile[0], 100) == b" two "
    glass.take(hostile[0], 100)
    with pytest.raises(BlockingIOError):
        glass.look(hostile[0], 100)
    glass.close()
    for descriptor in (*hostile, *other):
        os.close(descriptor)


def test_packets_arrive_whole_where_the_journal_takes_them_in_pieces() -> None:
    source, written = _packets(*(bytes([letter]) * 4000 for letter in range(10)))
    os.close(written)
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

    async def relayed() -> bytes:
        found = asyncio.ensure_future(asyncio.to_thread(_all_of, theirs))
        await _relay(source, once(ours))
        return await found

    with theirs:
        assert asyncio.run(relayed()) == b"".join(bytes([letter]) * 4000 for letter in range(10))


def test_who_kills_the_service_loses_no_byte() -> None:
    """The first instance is stuck, since journald reads only so much; the second goes on."""
    source, written = os.pipe()
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    data = os.urandom(60_000)
    os.write(written, data)
    os.close(written)
    last, reader = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(_relay(os.dup(source), once(ours), Begun([reader])))
        finally:
            os._exit(1)
    ours.close()
    os.close(reader)
    got = theirs.recv(1000)
    while _state(pid) != "S":
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.read(last, 1)  # its reader has ended as well
    os.close(last)
    while more := theirs.recv(1 << 20):
        got += more
    theirs.close()
    assert 0 < len(got) < len(data)
    assert got + asyncio.run(_read_by_another(source)) == data


def test_what_is_printed_while_there_is_no_journal_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes away with its sockets, as by systemctl stop; then it refuses; then it is stuck; then it is back."""
    monkeypatch.setattr(stream, "RETRY", 0.01)
    source, written = os.pipe()
    ours, theirs = socket.socketpair()
    again, back = socket.socketpair()
    answers: list[OSError | socket.socket] = [ConnectionRefusedError(), FileNotFoundError(), BlockingIOError(), again]

    def make() -> socket.socket:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    async def run() -> bytes:
        journal = JournalStream(make, never, ours)
        running = asyncio.ensure_future(_relay(source, journal))
        os.write(written, b"before ")
        assert await asyncio.to_thread(theirs.recv, 100) == b"before "
        theirs.close()
        os.write(written, b"meanwhile")
        os.close(written)
        found = await asyncio.to_thread(_all_of, back)
        await running
        return found

    with back:
        assert asyncio.run(asyncio.wait_for(run(), 60)) == b"meanwhile"
    assert answers == []


def test_who_is_found_again_needs_no_journal_until_there_is_a_line() -> None:
    source, written = os.pipe()
    ours, theirs = socket.socketpair()
    asked = []

    def make() -> socket.socket:
        asked.append(True)
        return ours

    async def run() -> bytes:
        running = asyncio.ensure_future(_relay(source, JournalStream(make, never)))
        await asyncio.sleep(0)
        assert asked == []
        os.write(written, b"line")
        os.close(written)
        found = await asyncio.to_thread(_all_of, theirs)
        await running
        return found

    with theirs:
        assert asyncio.run(asyncio.wait_for(run(), 60)) == b"line"


@pytest.fixture
def entries(tmp_path: Path) -> Iterator[socket.socket]:
    """What journald would hear of entries."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "socket"))
        listening.settimeout(20)
        yield listening


def test_what_is_left_when_the_first_process_was_reaped_goes_as_entries(entries: socket.socket) -> None:
    """Its pid cannot be named any more, or is another's: no line may go under that."""
    long = b"x" * (LINE_MAX + 1)
    gone = os.fork()
    if gone == 0:
        os._exit(0)
    os.waitpid(gone, 0)
    ours, theirs = socket.socketpair()
    fields: dict[str, str | int] = {"CONTAINER_NAME": "web", "PRIORITY": 6}
    for reaped in (True, False):
        source, written = os.pipe()
        os.write(written, b"one\n\x00two\n" + long + b"\nlast")
        os.close(written)
        made = JournalStream(ours.dup, lambda: Epilogue(fields, entries.getsockname()))
        if not reaped:
            made.part()
        asyncio.run(asyncio.wait_for(_relay(source, made, credentials=(gone, 0, 0) if reaped else OURSELVES), 60))
        told = [entries.recv(1 << 20) for _ in range(5)]
        head = b"CONTAINER_NAME=web\nPRIORITY=6\nMESSAGE="
        assert told == [head + line + b"\n" for line in (b"one", b"\x00two", long[:-1], b"x", b"last")]
    with theirs, ours:
        theirs.settimeout(0)
        with pytest.raises(BlockingIOError):
            theirs.recv(100)


def test_nothing_is_put_into_a_stream_that_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """journald was stopped, and PID 1 has the other end."""
    monkeypatch.setattr(stream, "RETRY", 0.01)
    source, written = os.pipe()
    os.write(written, b"line")
    os.close(written)
    ours, theirs = socket.socketpair()
    theirs.settimeout(0)
    away = True

    def look() -> None:
        if away:
            raise ConnectionRefusedError

    async def run() -> bytes:
        nonlocal away
        made = JournalStream(ours.dup, never, ours, look)
        running = asyncio.ensure_future(_relay(source, made))
        await asyncio.sleep(0.05)
        with pytest.raises(BlockingIOError):
            theirs.recv(100)
        away = False
        theirs.settimeout(None)
        found = await asyncio.to_thread(_all_of, theirs)
        await running
        return found

    with theirs:
        assert asyncio.run(asyncio.wait_for(run(), 60)) == b"line"


def test_a_stream_stays_open_until_it_was_read() -> None:
    """Else PID 1, which has the other end while journald is away, drops it with what is in it."""
    source, written = os.pipe()
    os.write(written, b"line")
    os.close(written)
    ours, theirs = socket.socketpair()

    async def run() -> None:
        async with reading() as crew:
            relay = Relay("stdout", crew.hold(source, "a pipe"), None, once(ours), OURSELVES)
            running = asyncio.ensure_future(relay.run())
            while not relay.is_over:
                await asyncio.sleep(0)
            await asyncio.sleep(0.1)
            assert not running.done()
            assert theirs.recv(100) == b"line"
            await running
            assert theirs.recv(100) == b""

    with theirs:
        asyncio.run(asyncio.wait_for(run(), 60))


def test_entries_wait_for_a_journal_too(entries: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epilogue, "RETRY", 0.01)
    place = entries.getsockname()
    os.rename(place, f"{place}.away")

    async def run() -> None:
        made = Epilogue({}, place)
        sending = asyncio.ensure_future(made.send(b"line\n"))
        await asyncio.sleep(0.05)
        os.rename(f"{place}.away", place)
        await sending
        made.close()

    asyncio.run(asyncio.wait_for(run(), 60))
    assert entries.recv(100) == b"MESSAGE=line\n"


def test_a_last_line_that_no_datagram_holds_reaches_the_journal(entries: socket.socket) -> None:
    """With its labels, or on a host that gives sockets little room."""
    fields = {f"CONTAINER_LABEL_{number}": "x" * LABEL_MAX for number in range(LABELS_MAX)}

    async def run() -> None:
        made = Epilogue(fields, entries.getsockname())
        await made.send(b"line\n")
        made.close()

    asyncio.run(asyncio.wait_for(run(), 20))
    data, files, _, _ = socket.recv_fds(entries, 100, 1)
    assert data == b""
    with open(files[0], "rb") as file:
        file.seek(0)
        assert file.read().endswith(b"\nMESSAGE=line\n")


def _packets(*packets: bytes) -> tuple[int, int]:
    """Both ends of a pipe in which the payload has put them."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.fcntl(writing, fcntl.F_SETFL, os.O_DIRECT | os.O_NONBLOCK)
    for packet in packets:
        os.write(writing, packet)
    return reading, writing


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0]


async def _read_by_another(source: int) -> bytes:
    ours, theirs = socket.socketpair()
    with theirs:
        found = asyncio.ensure_future(asyncio.to_thread(_all_of, theirs))
        await _relay(source, once(ours))
        return await found


async def _relay(
    source: int, journal: JournalStream, begun: Begun | None = None, credentials: tuple[int, int, int] = OURSELVES
) -> None:
    async with reading(begun) as crew:
        await Relay("stdout", crew.hold(source, "a pipe"), None, journal, credentials).run()


def _all_of(stream: socket.socket) -> bytes:
    found = b""
    while piece := stream.recv(1 << 20):
        found += piece
    return found
