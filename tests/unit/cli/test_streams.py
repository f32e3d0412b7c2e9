# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes between real pipes and terminals."""

from __future__ import annotations

import os
import pty
import select
import tty
from typing import TYPE_CHECKING

import pytest

from mctl.failures import Failure
from mctl.streams import Feed, Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

BINARY = bytes(range(256)) * 64


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for fd in ends:
        try:
            os.close(fd)
        except OSError:
            continue  # closed by the test


@pytest.fixture
def sink(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """A second pipe, whose writing end a Stream gets."""
    return pipe


def test_stream_copies_bytes_until_the_end(sink: tuple[int, int]) -> None:
    source, feeder = os.pipe()
    stream = Stream(source, sink[1])
    os.write(feeder, BINARY)
    assert stream.copy()
    assert os.read(sink[0], 1 << 20) == BINARY
    os.close(feeder)
    assert not stream.copy()
    stream.close()


def test_stream_of_errors_outlives_its_reader(sink: tuple[int, int]) -> None:
    source, feeder = os.pipe()
    stream = Stream(source, sink[1])
    os.close(sink[0])
    for _ in range(2):
        os.write(feeder, b"x")
        assert stream.copy()
    os.close(feeder)
    stream.close()


@pytest.mark.parametrize(("reader", "error"), [("gone", BrokenPipeError), ("full", Failure)])
def test_stream_of_output_does_not_outlive_its_reader(reader: str, error: type[Exception]) -> None:
    source, feeder = os.pipe()
    kept = os.dup(1)
    if reader == "gone":
        unread, sink = os.pipe()
        os.close(unread)
    else:
        sink = os.open("/dev/full", os.O_WRONLY)
    os.dup2(sink, 1)
    os.close(sink)
    try:
        os.write(feeder, b"x")
        with pytest.raises(error):
            Stream(source, 1).copy()
    finally:
        os.dup2(kept, 1)
        for fd in (kept, source, feeder):
            os.close(fd)


class Typist:
    """A terminal with somebody at it, and a Feed behind it."""

    def __init__(self) -> None:
        self.keyboard, self.terminal = pty.openpty()
        tty.setraw(self.terminal)
        self.reading, self.writing = os.pipe()
        self.poller = select.poll()
        self.feed = Feed(self.terminal, self.writing, self.poller)

    def turn(self) -> int:
        """Serves what is ready; how much that was."""
        ready = self.poller.poll(200)
        for fd, events in ready:
            if fd in self.feed.fds:
                self.feed.ready(fd, events)
        return len(ready)


@pytest.fixture
def typist() -> Iterator[Typist]:
    made = Typist()
    yield made
    for fd in (made.keyboard, made.terminal, made.reading, made.writing):
        try:
            os.close(fd)
        except OSError:
            continue  # closed by the test or the feed


def test_feed_passes_on_what_is_typed(typist: Typist) -> None:
    os.write(typist.keyboard, b"hello\x00\xff")
    typist.turn()
    assert os.read(typist.reading, 100) == b"hello\x00\xff"


def test_what_is_typed_when_it_has_ended_harms_nobody(typist: Typist) -> None:
    """The reader goes between poll(2) and the keys: the exit status is still to be told."""
    os.write(typist.keyboard, b"too late")
    ready = typist.poller.poll(10_000)
    os.close(typist.reading)
    for fd, _ in ready:
        if fd == typist.terminal:
            typist.feed.ready(fd, select.POLLIN)
    assert typist.feed.fds == frozenset()
    assert typist.turn() == 0


def test_feed_does_not_block_on_a_container_that_does_not_read(typist: Typist) -> None:
    filled = 0
    os.set_blocking(typist.writing, False)
    try:
        while True:
            filled += os.write(typist.writing, b"x" * 4096)
    except BlockingIOError:
        pass
    os.write(typist.keyboard, b"late")
    typist.turn()
    os.write(typist.keyboard, b"r")
    assert typist.turn() == 0  # reads no more from the terminal while something waits
    got = b""
    while len(got) < filled + 5:
        typist.turn()
        got += os.read(typist.reading, 1 << 20)
    assert got[filled:] == b"later"


def test_feed_ends_when_the_container_reads_no_more(typist: Typist) -> None:
    os.close(typist.reading)
    typist.turn()
    assert typist.feed.fds == frozenset()
    assert typist.turn() == 0


def test_feed_ends_with_the_terminal(typist: Typist) -> None:
    os.close(typist.keyboard)
    while typist.turn():
        pass
    assert os.read(typist.reading, 1) == b""
    assert typist.feed.fds == frozenset()
