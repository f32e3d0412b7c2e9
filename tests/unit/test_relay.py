# SPDX-License-Identifier: GPL-3.0-or-later
"""Output on its way to the journal is in the payload's pipe until the journal has it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import time

import pytest

from mctld.lifecycle.relay import Relay
from mctld.runtime.glass import Glass

OURSELVES = (os.getpid(), os.getuid(), os.getgid())


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
        reading = asyncio.ensure_future(asyncio.to_thread(_all_of, theirs))
        await Relay("stdout", source, None, ours, OURSELVES).run()
        return await reading

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
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(Relay("stdout", source, None, ours, (os.getpid(), os.getuid(), os.getgid())).run())
        finally:
            os._exit(1)
    ours.close()
    got = theirs.recv(1000)
    while _state(pid) != "S":
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    while more := theirs.recv(1 << 20):
        got += more
    theirs.close()
    assert 0 < len(got) < len(data)
    assert got + asyncio.run(_read_by_another(source)) == data


def test_without_a_journal_the_payload_is_not_held_up() -> None:
    source, written = os.pipe()
    ours, theirs = socket.socketpair()
    theirs.close()
    os.write(written, b"x" * 60_000)
    os.close(written)
    asyncio.run(asyncio.wait_for(Relay("stdout", source, None, ours, OURSELVES).run(), 20))


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
        reading = asyncio.ensure_future(asyncio.to_thread(_all_of, theirs))
        await Relay("stdout", source, None, ours, OURSELVES).run()
        return await reading


def _all_of(stream: socket.socket) -> bytes:
    found = b""
    while piece := stream.recv(1 << 20):
        found += piece
    return found
