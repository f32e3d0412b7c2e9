# SPDX-License-Identifier: GPL-3.0-or-later
"""Output on its way to the journal is in the payload's pipe until the journal has it."""

from __future__ import annotations

import asyncio
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
