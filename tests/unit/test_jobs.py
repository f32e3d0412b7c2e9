# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs of PID 1's, its units' files, and what is said to it in a process's name."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest

from mctld.errors import MctlError, SetupFailed
from mctld.lifecycle import bootunit
from mctld.systemd import notify
from mctld.systemd.manager import Manager, path_of, unit_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


class Jobs:
    """Answers each call with the job given, and tells of ends when asked to."""

    def __init__(self, *paths: str, early: str = "") -> None:
        self.paths, self.early = list(paths), early
        self.ended: Callable[[str, list[Any]], None] = lambda _path, _body: None

    async def call(
        self, destination: str, path: str, interface: str, member: str, signature: str = "", body: Sequence[Any] = ()
    ) -> list[Any]:
        if member == "Subscribe":
            return []
        job = self.paths.pop(0)
        if self.early:
            self.end(job, body[0], self.early)
        return [job]

    async def on_signal(
        self, sender: str, interface: str, member: str, callback: Callable[[str, list[Any]], None]
    ) -> None:
        if member == "JobRemoved":
            self.ended = callback

    def end(self, job: str, unit: str, result: str = "done") -> None:
        self.ended("/org/freedesktop/systemd1", [1, job, unit, result])


def test_each_hears_of_the_job_that_was_theirs() -> None:
    async def run() -> list[object]:
        bus = Jobs("/job/1", "/job/2")
        manager = Manager(bus)
        await manager.open(lambda _unit: None, lambda _unit, _job: None, lambda _unit: None)
        starting = asyncio.ensure_future(manager.start("mctl@web.service"))
        await asyncio.sleep(0)
        stopping = asyncio.ensure_future(manager.stop("mctl@web.service"))
        await asyncio.sleep(0)
        bus.end("/job/1", "mctl@web.service", "canceled")
        bus.end("/job/9", "mctl@web.service", "failed")  # somebody else's
        bus.end("/job/2", "mctl@web.service")
        return list(await asyncio.wait_for(asyncio.gather(starting, stopping, return_exceptions=True), 5))

    first, second = asyncio.run(run())
    assert isinstance(first, SetupFailed)
    assert "could not start mctl@web.service: systemd's job ended with 'canceled'" in str(first)
    assert second is None


def test_a_job_that_ends_before_its_answer_is_not_waited_for() -> None:
    async def run() -> None:
        manager = Manager(Jobs("/job/1", early="failed"))
        await manager.open(lambda _unit: None, lambda _unit, _job: None, lambda _unit: None)
        await asyncio.wait_for(manager.stop("mctl@web.service"), 5)

    with pytest.raises(MctlError, match=r"could not stop mctl@web\.service"):
        asyncio.run(run())


class Reloads(Jobs):
    """Counts them; each takes a while, and sees what had been `written` when it began."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []
        self.written = 0

    async def call(
        self, destination: str, path: str, interface: str, member: str, signature: str = "", body: Sequence[Any] = ()
    ) -> list[Any]:
        if member == "Reload":
            self.seen.append(self.written)
            await asyncio.sleep(0.01)
        return []


def test_files_are_read_anew_once_for_all_who_ask_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mctld.systemd.manager.RELOAD_SPACING", 0.1)

    async def run() -> tuple[list[int], float]:
        bus = Reloads()
        manager = Manager(bus)

        async def change() -> None:
            bus.written += 1
            mine = bus.written
            await manager.reload()
            assert bus.seen[-1] >= mine

        began = asyncio.get_running_loop().time()
        for _ in range(3):
            await asyncio.gather(*(change() for _ in range(20)))
        return bus.seen, asyncio.get_running_loop().time() - began

    seen, seconds = asyncio.run(run())
    assert seen == [20, 40, 60]
    assert seconds >= 0.2


def test_a_change_while_files_are_read_is_read_too() -> None:
    async def run() -> list[int]:
        bus = Reloads()
        manager = Manager(bus)
        first = asyncio.ensure_future(manager.reload())
        while not bus.seen:
            await asyncio.sleep(0)
        bus.written = 1
        await manager.reload()
        await first
        return bus.seen

    assert asyncio.run(run()) == [0, 1]


def test_a_unit_has_a_path() -> None:
    assert path_of("mctl@web-1.service") == "/org/freedesktop/systemd1/unit/mctl_40web_2d1_2eservice"
    assert unit_of(path_of("mctl@web-1.service")) == "mctl@web-1.service"


# What is said in a process's name


@pytest.fixture
def pid_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        listening.settimeout(5)
        yield listening


def test_speaking_for_a_process_waits_until_pid_1_has_heard(pid_1: socket.socket) -> None:
    async def run() -> tuple[bytes, int, bool]:
        speaking = asyncio.ensure_future(notify.speak_for(os.getpid(), "MAINPID=42"))
        await asyncio.sleep(0)
        said, ancillary, _, _ = pid_1.recvmsg(4096, 1024)
        credentials = next(data for _, kind, data in ancillary if kind == notify.SCM_CREDENTIALS)
        barrier, ancillary, _, _ = pid_1.recvmsg(4096, 1024)
        assert barrier == b"BARRIER=1"
        descriptor = struct.unpack("i", next(data for _, kind, data in ancillary if kind == socket.SCM_RIGHTS))[0]
        await asyncio.sleep(0.05)
        waited = not speaking.done()
        os.close(descriptor)
        await asyncio.wait_for(speaking, 5)
        return said, struct.unpack("3i", credentials)[0], waited

    assert asyncio.run(run()) == (b"MAINPID=42", os.getpid(), True)


def test_pid_1_is_asked_for_patience_as_long_as_it_is_needed(
    pid_1: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootunit, "ASK_EVERY", 0.01)

    async def run() -> list[bytes]:
        heard = []
        async with bootunit.patience(os.getpid(), 10_000_000):
            for _ in range(4):
                said, ancillary, _, _ = await asyncio.to_thread(pid_1.recvmsg, 4096, 1024)
                heard.append(said)
                for _, kind, data in ancillary:
                    if kind == socket.SCM_RIGHTS:
                        os.close(struct.unpack("i", data)[0])
        await asyncio.sleep(0.05)
        return heard

    assert asyncio.run(run()) == [b"EXTEND_TIMEOUT_USEC=5000000", b"BARRIER=1"] * 2
    pid_1.settimeout(0)
    with pytest.raises(BlockingIOError):
        pid_1.recv(4096)
