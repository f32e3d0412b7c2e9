# SPDX-License-Identifier: GPL-3.0-or-later
"""What the service tells the journal: nobody waits for a journal that is stuck or gone, and it gets it all later."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING

import pytest

from mctld import chronicle
from mctld.chronicle import Chronicle, encode
from mctld.reporting import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_KIND = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK


class Journal:
    """In place of journald's socket. Not there before open()."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, _KIND)

    def open(self) -> None:
        self._socket.bind(self.path)

    def fill(self) -> None:
        """As any user can, while journald is stuck: each sender until its own buffer is full, which may be earlier than
        net.unix.max_dgram_qlen says.
        """
        while self._takes_some():
            pass

    def _takes_some(self) -> bool:
        """Of one more sender."""
        sent = 0
        with contextlib.suppress(BlockingIOError), socket.socket(socket.AF_UNIX, _KIND) as sender:
            while True:
                sender.sendto(b"MESSAGE=x\n", self.path)
                sent += 1
        return sent > 0

    def messages(self) -> list[str]:
        """What has arrived since it was asked last, but what fill() has sent."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                data, files, _, _ = socket.recv_fds(self._socket, 1 << 20, 4)
                for file in files:
                    with open(file, "rb") as stream:
                        stream.seek(0)
                        data += stream.read()
                found.append(data.decode().partition("\n")[0].removeprefix("MESSAGE="))
        return [message for message in found if message != "x"]

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(str(tmp_path / "socket"))
    yield made
    made.close()


@pytest.fixture
def told(journal: Journal) -> Iterator[Chronicle]:
    made = Chronicle(journal.path)
    yield made
    made.close()


def test_entries_as_the_journal_reads_them() -> None:
    assert encode({"MESSAGE": "a\nb", "PRIORITY": 3, "X": "\udcff"}) == (
        b"MESSAGE\n\3\0\0\0\0\0\0\0a\nb\nPRIORITY=3\nX=?\n"
    )


def test_an_entry_arrives_at_once_whatever_its_size(journal: Journal, told: Chronicle) -> None:
    journal.open()
    told.send("small", PRIORITY=6)
    told.send("x" * (1 << 20))  # more than a datagram holds
    first, second = journal.messages()
    assert (first, len(second), told.waiting) == ("small", 1 << 20, 0)


def test_without_a_journal_entries_wait_and_keep_their_order(journal: Journal, told: Chronicle) -> None:
    told.send("one")
    told.send("two")
    assert told.waiting == 2
    journal.open()
    told.send("three")
    assert journal.messages() == ["one", "two", "three"]


def test_a_journal_that_is_stuck_holds_up_nobody(journal: Journal, told: Chronicle) -> None:
    journal.open()
    journal.fill()
    told.send("one")
    told.send("y" * (1 << 20))
    assert told.waiting == 2
    assert journal.messages() == []
    told.send("three")
    one, two, three = journal.messages()
    assert (one, len(two), three) == ("one", 1 << 20, "three")


@pytest.mark.parametrize(("bound", "value"), [("ENTRIES_MAX", 2), ("BYTES_MAX", 100)])
def test_what_is_lost_is_counted(
    journal: Journal, told: Chronicle, monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    monkeypatch.setattr(chronicle, bound, value)
    for number in range(5):
        told.send(f"{number}", SYSLOG_IDENTIFIER="mctld", X="z" * 10)
    assert told.waiting == 2
    journal.open()
    told.send("after")
    lost = "3 entries were lost: the journal did not take them, and more were not kept"
    assert journal.messages() == ["0", "1", lost, "after"]
    told.send("again")
    assert journal.messages() == ["again"]


def test_what_waits_is_sent_as_soon_as_there_is_a_journal(
    journal: Journal, told: Chronicle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chronicle, "RETRY", 0.01)

    async def play() -> None:
        told.send("before")
        told.attach()
        await asyncio.to_thread(told.send, "from a thread")
        journal.open()
        while told.waiting:
            await asyncio.sleep(0.01)
        told.detach()

    asyncio.run(play())
    assert journal.messages() == ["before", "from a thread"]
    told.send("after the loop")
    assert journal.messages() == ["after the loop"]


def test_a_stream_that_is_stuck_or_broken_holds_up_nobody() -> None:
    ours, theirs = socket.socketpair()
    entries: list[tuple[str, int | str]] = []
    stream = Stream(ours.fileno(), lambda text, **fields: entries.append((text, fields["PRIORITY"])))
    stream.write("<6>heard\n")
    assert theirs.recv(100) == b"<6>heard\n"
    size = 0
    while not entries:
        stream.write(f"<4>{'z' * 9_000}\n<4>and more\n")
        size += 1
    assert entries == [("z" * 9_000 + "\nand more", 4)]
    theirs.settimeout(0)
    found = b""
    with contextlib.suppress(BlockingIOError):
        while True:
            found += theirs.recv(1 << 20)
    stream.write("<5>goes on\n")  # after the end of what had begun
    found += theirs.recv(1 << 20)
    assert found.count(b"and more\n") == size - 1
    assert found.endswith(b"<4>and more\n<5>goes on\n")
    theirs.close()
    stream.write("no prefix\n")
    assert entries[1:] == [("no prefix", 6)]
    assert os.get_blocking(ours.fileno())
    stream.close()
    ours.close()
