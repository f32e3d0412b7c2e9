# SPDX-License-Identifier: GPL-3.0-or-later
"""Who follows a log is told of its end once, and only when nothing can follow any more."""

from __future__ import annotations

import asyncio
import errno
import os
import select
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from mctld.lifecycle import bootunit
from mctld.lifecycle.followers import Follower, Followers
from mctld.lifecycle.logs import LogQuery, LogReaders
from mctld.lifecycle.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ENTRY = r"__CURSOR=s=a;i=7\n__REALTIME_TIMESTAMP=1000\nPRIORITY=6\n\n"


class Stage:
    def __init__(self) -> None:
        self.may_drain = asyncio.Event()
        self.unit_is_over = [True]  # one answer after the other, the last for ever
        self.tasks = Tasks()
        retirement: Any = SimpleNamespace(drained=self.drained)
        systemd: Any = SimpleNamespace(is_over=self.is_over)
        self.followers = Followers(retirement, systemd, self.tasks)
        self.container: Any = SimpleNamespace(
            id="1", name="web", unit="mctl-web.scope", is_over=True
        )

    async def drained(self, unit: str) -> None:
        assert unit == "mctl-web.scope"
        await self.may_drain.wait()

    async def is_over(self, unit: str) -> bool:
        assert unit == "mctl@web.service"
        return self.unit_is_over.pop(0) if len(self.unit_is_over) > 1 else self.unit_is_over[0]

    def admit(self, entry: str = ENTRY, since_usec: int = 0) -> tuple[Follower, int]:
        reading, writing = os.pipe()
        follower = Follower(["printf", entry], since_usec, writing)
        self.followers.admit(self.container, follower)
        return follower, reading


async def told(reading: int) -> bytes:
    """All of it, up to the end of the pipe."""
    found = b""
    while data := await asyncio.to_thread(read, reading):
        found += data
    os.close(reading)
    return found


def read(reading: int) -> bytes:
    ready, _, _ = select.select([reading], (), (), 30)
    assert ready, "nothing is told"
    return os.read(reading, 100)


def play(work: Callable[[Stage], Awaitable[None]]) -> None:
    async def playing() -> None:
        stage = Stage()
        await work(stage)
        await stage.tasks.finish(10)

    asyncio.run(playing())


@pytest.mark.parametrize(("entry", "since", "word"), [(ENTRY, 0, b"s=a;i=7\n"), (ENTRY, 1001, b"\n"), ("", 0, b"\n")])
def test_the_last_entry_is_named_if_it_will_be_seen(entry: str, since: int, word: bytes) -> None:
    async def work(stage: Stage) -> None:
        stage.may_drain.set()
        _, reading = stage.admit(entry, since)
        assert await told(reading) == word

    play(work)


def test_nothing_is_told_before_the_journal_has_drained_or_of_what_comes_back() -> None:
    async def work(stage: Stage) -> None:
        _, reading = stage.admit()
        await asyncio.sleep(0)
        stage.container.is_over = False  # started anew meanwhile
        stage.may_drain.set()
        await stage.tasks.finish(10)
        os.set_blocking(reading, False)
        with pytest.raises(BlockingIOError):
            os.read(reading, 100)
        os.set_blocking(reading, True)
        stage.container.is_over = True
        stage.followers.look(stage.container)
        assert await told(reading) == b"s=a;i=7\n"

    play(work)


@pytest.fixture
def owned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootunit, "owns", lambda name: name == "web")


@pytest.mark.usefixtures("owned")
def test_what_systemd_starts_again_is_not_over_before_it_gives_up() -> None:
    async def work(stage: Stage) -> None:
        stage.may_drain.set()
        stage.unit_is_over = [False, True]
        _, reading = stage.admit()
        await stage.tasks.finish(10)
        os.set_blocking(reading, False)
        with pytest.raises(BlockingIOError):
            os.read(reading, 100)
        stage.followers.job_over("mctl@other.service")
        await stage.tasks.finish(10)
        with pytest.raises(BlockingIOError):
            os.read(reading, 100)
        os.set_blocking(reading, True)
        stage.followers.job_over("mctl@web.service")
        assert await told(reading) == b"s=a;i=7\n"

    play(work)


@pytest.mark.usefixtures("owned")
def test_it_is_looked_at_again_if_systemd_gives_up_while_it_is_looked_at() -> None:
    async def work(stage: Stage) -> None:
        stage.unit_is_over = [False, True]
        _, reading = stage.admit()
        await asyncio.sleep(0)  # it waits for the journal
        stage.followers.job_over("mctl@web.service")
        stage.may_drain.set()
        assert await told(reading) == b"s=a;i=7\n"

    play(work)


def test_who_comes_while_others_are_told_is_told_too() -> None:
    async def work(stage: Stage) -> None:
        stage.may_drain.set()
        _, first = stage.admit()
        for _ in range(5):  # as far as the first printf
            await asyncio.sleep(0)
        _, second = stage.admit()
        assert [await told(first), await told(second)] == [b"s=a;i=7\n"] * 2

    play(work)


def test_who_leaves_is_told_nothing_and_keeps_nobody_up() -> None:
    async def work(stage: Stage) -> None:
        gone, of_the_gone = stage.admit()
        _, reading = stage.admit()
        stage.followers.leave("1", gone)
        stage.may_drain.set()
        assert await told(reading) == b"s=a;i=7\n"
        assert await told(of_the_gone) == b""

    play(work)


def test_nothing_stays_open_of_a_log_that_cannot_be_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    made = list[int]()
    really = os.pipe2

    def pipe2(flags: int) -> tuple[int, int]:
        if made:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        made.extend(really(flags))
        return made[0], made[1]

    async def work(stage: Stage) -> None:
        stage.container.owner_uid = 0
        stage.container.record = SimpleNamespace(owner_uid=0, spec=SimpleNamespace(name="web"))
        journals: Any = SimpleNamespace(read_by=lambda _: ["--namespace=+mctl-0"])
        monkeypatch.setattr(os, "pipe2", pipe2)
        with pytest.raises(OSError, match="Too many open files"):
            LogReaders(stage.followers, journals).follow(LogQuery(), stage.container, reader_uid=0)
        monkeypatch.undo()

    play(work)
    for descriptor in made:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
