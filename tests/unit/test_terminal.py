# SPDX-License-Identifier: GPL-3.0-or-later
"""A container's terminal and those attached to it, without a container."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

import pytest

from mctld.errors import LimitsExceeded, NotRunning
from mctld.lifecycle import keeping
from mctld.lifecycle import terminal as terminal_module
from mctld.lifecycle import watcher as watcher_module
from mctld.lifecycle.epilogue import Epilogue
from mctld.lifecycle.stream import JournalStream
from mctld.lifecycle.tasks import Tasks
from mctld.lifecycle.terminal import CLIENTS_MAX, Terminal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SECONDS = 20
MUCH = b"y" * 3_000_000

OURSELVES = (os.getpid(), os.getuid(), os.getgid())


class Store:
    """What PID 1 keeps, in place of notify."""

    def __init__(self) -> None:
        self.kept: dict[str, int] = {}

    def keep(self, name: str, descriptor: int) -> None:
        self.kept[name] = os.dup(descriptor)

    def drop(self, name: str) -> None:
        os.close(self.kept.pop(name))


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    made = Store()
    monkeypatch.setattr(keeping, "notify", made)
    return made


def kept() -> keeping.Kept:
    return keeping.Keeping().of(1000, "abc")


class Session:
    """A terminal whose payload is the test: it writes to and reads from `inside`."""

    def __init__(self) -> None:
        master, self.inside = os.openpty()
        self.tasks = Tasks()
        ours, journal = socket.socketpair()
        self.journal = asyncio.ensure_future(asyncio.to_thread(read_all, journal))
        stream = JournalStream(ours.dup, lambda: Epilogue({}), ours)
        self.terminal = Terminal(kept(), master, stream, OURSELVES, self.tasks)
        self.running = self.tasks.start(self.terminal.run(), "run")

    def attach(self) -> socket.socket:
        client = self.terminal.attach()
        client.settimeout(0)
        return client

    async def end(self) -> bytes:
        """The payload ends; what the journal has got."""
        os.close(self.inside)
        await self.terminal.settle()
        await self.running
        return await self.journal


def read_all(connection: socket.socket) -> bytes:
    connection.settimeout(None)
    found = b""
    with connection:
        while data := connection.recv(65536):
            found += data
    return found


async def heard(client: socket.socket, wanted: bytes) -> bytes:
    found = b""
    while wanted not in found:
        found += await asyncio.get_running_loop().sock_recv(client, 65536)
    return found


def conducted(act: Callable[[Session], Awaitable[None]]) -> None:
    async def run() -> None:
        await asyncio.wait_for(act(Session()), SECONDS)

    asyncio.run(run())


def test_all_see_the_same_and_the_journal_too(store: Store) -> None:
    async def act(session: Session) -> None:
        clients = [session.attach() for _ in range(3)]
        os.write(session.inside, b"hello\n")
        assert [await heard(client, b"\n") for client in clients] == [b"hello\r\n"] * 3
        assert len(store.kept) == 3
        assert await session.end() == b"hello\n"
        assert [read_all(client) for client in clients] == [b""] * 3
        assert not store.kept
        for client in clients:
            client.close()

    conducted(act)


def test_what_is_typed_arrives_and_is_seen_by_all(store: Store) -> None:
    async def act(session: Session) -> None:
        one, other = session.attach(), session.attach()
        one.send(b"first\n")
        await heard(other, b"first\r\n")
        other.send(b"second\n")
        await heard(one, b"second\r\n")
        assert os.read(session.inside, 100) == b"first\n"
        assert os.read(session.inside, 100) == b"second\n"
        await session.end()
        one.close()
        other.close()

    conducted(act)


def test_one_who_leaves_hangs_up_nobody(store: Store) -> None:
    async def act(session: Session) -> None:
        one, other = session.attach(), session.attach()
        one.close()
        while len(store.kept) > 1:
            await asyncio.sleep(0)
        os.write(session.inside, b"still\n")
        await heard(other, b"still")
        other.close()
        assert await session.end() == b"still\n"
        assert not store.kept

    conducted(act)


def test_all_that_was_printed_before_the_end_arrives(store: Store) -> None:
    async def act(session: Session) -> None:
        client = session.attach()
        os.write(session.inside, b"x" * 3000 + b"last\n")
        journal = await session.end()
        assert journal.endswith(b"last\n")
        assert read_all(client) == journal.replace(b"\n", b"\r\n")
        client.close()

    conducted(act)


def test_a_payload_that_closes_its_terminal_can_open_it_again(store: Store) -> None:
    async def act(session: Session) -> None:
        client, name = session.attach(), os.ttyname(session.inside)
        os.close(session.inside)
        await asyncio.sleep(0.05)
        session.inside = os.open(name, os.O_RDWR | os.O_NOCTTY)
        os.write(session.inside, b"again\n")
        await heard(client, b"again")
        await session.end()
        client.close()

    conducted(act)


def test_one_who_takes_nothing_is_dropped(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal_module, "PATIENCE", 0.2)

    async def act(session: Session) -> None:
        slow, quick = session.attach(), session.attach()
        reading = asyncio.ensure_future(asyncio.to_thread(read_all, quick))
        await asyncio.to_thread(os.write, session.inside, MUCH)
        assert len(store.kept) == 1
        assert await session.end() == await reading == MUCH
        assert 0 < len(read_all(slow)) < len(MUCH)
        slow.close()
        quick.close()

    conducted(act)


def test_a_restart_of_the_service_keeps_the_connection(store: Store) -> None:
    """The first instance is cancelled, as when the service stops; the second finds what PID 1 has kept."""

    async def act(session: Session) -> None:
        client = session.attach()
        master = os.dup(session.terminal.source.descriptor)
        await session.tasks.finish(0)
        await session.journal
        client.send(b"meanwhile\n")

        ours, journal = socket.socketpair()
        found = kept()
        second = Terminal(found, master, JournalStream(ours.dup, lambda: Epilogue({}), ours), OURSELVES, Tasks())
        second.readmit(found.claim({name: os.dup(fd) for name, fd in store.kept.items()}))
        running = asyncio.ensure_future(second.run())
        await heard(client, b"meanwhile")
        assert os.read(session.inside, 100) == b"meanwhile\n"
        another = second.attach()
        assert len(store.kept) == 2  # under a name of its own
        os.close(session.inside)
        await second.settle()
        await asyncio.to_thread(read_all, journal)
        await running
        assert not store.kept
        for connection in (client, another):
            connection.close()

    conducted(act)


def test_the_carriage_return_is_the_terminals() -> None:
    """Also where a read ends between the two; one that the payload has printed stays."""

    async def act(session: Session) -> None:
        os.write(session.inside, b"50%\r100%\n")
        assert await session.end() == b"50%\r100%\n"

    conducted(act)


@pytest.mark.parametrize("chunks", [[b"a\r", b"\nb\r\n"], [b"a\r\n", b"b", b"\r\n"], [b"a\r", b"\n", b"b\r\n"]])
def test_the_carriage_return_may_come_alone(chunks: list[bytes]) -> None:
    async def act(session: Session) -> None:
        for chunk in (*chunks, b"c\r", b""):
            await session.terminal._tell_journal(chunk)
        assert await session.end() == b"a\nb\nc\r"

    conducted(act)


def test_bounds_and_the_end(store: Store) -> None:
    async def act(session: Session) -> None:
        clients = [session.attach() for _ in range(CLIENTS_MAX)]
        with pytest.raises(LimitsExceeded, match=f"{CLIENTS_MAX} are attached"):
            session.attach()
        session.terminal.resize(50, 132)
        assert os.get_terminal_size(session.inside) == (132, 50)
        await session.end()
        with pytest.raises(NotRunning):
            session.attach()
        with pytest.raises(NotRunning):
            session.terminal.resize(1, 1)
        for client in clients:
            client.close()

    conducted(act)


def test_nothing_stays_open(store: Store) -> None:
    async def act(session: Session) -> None:
        session.attach().close()
        await session.end()

    before = len(os.listdir("/proc/self/fd"))
    conducted(act)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_watcher_of_a_pipe_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that came with the run slows it as a pipe does; one that came later has PATIENCE."""

    async def act(patience: float | None) -> bool:
        reading, writing = os.pipe()
        watcher = watcher_module.Watcher(writing, patience=patience)
        watcher.offer(b"z" * (1 << 20))
        finishing = asyncio.ensure_future(watcher.finish())
        await asyncio.wait([finishing], timeout=0.3)
        gone = watcher.gone
        os.close(reading)
        await finishing
        return gone

    assert asyncio.run(act(0.05)) is True
    assert asyncio.run(act(None)) is False
