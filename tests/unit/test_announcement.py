# SPDX-License-Identifier: GPL-3.0-or-later
"""What payloads say of themselves: little of it reaches PID 1."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

import pytest

from mctld.kernel import expendable, filesystem
from mctld.lifecycle import announcements
from mctld.lifecycle.announcement import STATUS_MAX, Announcement, Extension, parse
from mctld.lifecycle.announcements import Announcements
from mctld.runtime import notification

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"READY=1", Announcement(ready=True, status=None, passed=("READY=1",))),
        (b"READY=1\nSTATUS=up\n", Announcement(ready=True, status="up", passed=("READY=1", "STATUS=up"))),
        (b"STATUS=a\nSTATUS=b", Announcement(ready=False, status="b", passed=("STATUS=b",))),
        (b"STATUS=", Announcement(ready=False, status="", passed=("STATUS=",))),
        (b"WATCHDOG=1\0", Announcement(ready=False, status=None, passed=("WATCHDOG=1",))),
        (b"EXTEND_TIMEOUT_USEC=500", Announcement(ready=False, status=None, passed=("EXTEND_TIMEOUT_USEC=500",))),
        (b"RELOADING=1\nMONOTONIC_USEC=7", Announcement(ready=False, status=None,
                                                       passed=("RELOADING=1", "MONOTONIC_USEC=7"))),
        (b"STATUS=\x1b[2Jx\xff", Announcement(ready=False, status="?[2Jx\ufffd", passed=("STATUS=?[2Jx\ufffd",))),
    ],
)  # fmt: skip
def test_what_is_passed(message: bytes, expected: Announcement) -> None:
    assert parse(message) == expected


@pytest.mark.parametrize(
    "line", ["MAINPID=1", "FDSTORE=1", "FDNAME=x", "NOTIFYACCESS=all", "WATCHDOG_USEC=0", "BARRIER=1", "X_MINE=1",
             "ERRNO=2", "EXTEND_TIMEOUT_USEC=-1", "EXTEND_TIMEOUT_USEC=1 ", "READY=0", "READY=1 ", "WATCHDOG=0", ""],
)  # fmt: skip
def test_what_is_not(line: str) -> None:
    assert parse(line.encode()) == Announcement(ready=False, status=None, passed=())


def test_a_stop_is_put_off_within_a_bound_however_often_it_is_asked_for() -> None:
    extension, now = Extension(), 5_000

    def granted(asked: int) -> tuple[str, ...]:
        return extension.bound(parse(b"READY=1\nEXTEND_TIMEOUT_USEC=%d" % asked), 100, now).passed[1:]

    assert granted(2**64 - 1) == ("EXTEND_TIMEOUT_USEC=100",)
    now += 30
    assert granted(20) == ("EXTEND_TIMEOUT_USEC=20",)
    assert granted(90) == ("EXTEND_TIMEOUT_USEC=70",)
    now += 70
    assert granted(90) == ()
    now += 99
    assert granted(90) == ()
    now += 1
    assert granted(2**64 - 1) == ("EXTEND_TIMEOUT_USEC=100",)


def test_a_status_is_bounded() -> None:
    assert parse(b"STATUS=" + b"a" * 4000).status == "a" * STATUS_MAX


def heard(act: Callable[[socket.socket], None], *, inside: bool = True, seconds: float = 0.1) -> list[Announcement]:
    found: list[Announcement] = []

    async def listen() -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        told = Announcements(ours, lambda pid, uid: inside and (pid, uid) == (os.getpid(), os.getuid()), found.append)
        with theirs:
            act(theirs)
            await asyncio.sleep(seconds)
        told.close()

    asyncio.run(listen())
    return found


def test_the_kernel_says_who_speaks() -> None:
    assert heard(lambda channel: channel.sendall(b"READY=1")) == [parse(b"READY=1")]
    assert heard(lambda channel: channel.sendall(b"READY=1"), inside=False) == []


def test_descriptors_are_closed_which_is_what_a_barrier_waits_for() -> None:
    reading, writing = os.pipe()
    before = len(os.listdir("/proc/self/fd"))

    def act(channel: socket.socket) -> None:
        socket.send_fds(channel, [b"BARRIER=1"], [writing] * 3)
        os.close(writing)

    assert heard(act) == [parse(b"BARRIER=1")]
    os.set_blocking(reading, False)
    assert os.read(reading, 1) == b""
    os.close(reading)
    assert len(os.listdir("/proc/self/fd")) <= before - 2


def test_one_whose_file_system_may_never_answer_is_closed_by_nobody_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """close(2) asks a file system in user space, which any user can have, and waits for it."""
    left = list[int]()
    monkeypatch.setattr(filesystem, "is_answered_for_by_a_process", lambda _: True)
    monkeypatch.setattr(expendable, "close", left.extend)
    reading, writing = os.pipe()

    def act(channel: socket.socket) -> None:
        socket.send_fds(channel, [b"READY=1"], [writing, writing])

    assert heard(act) == [parse(b"READY=1")]
    assert len(left) == 2
    for descriptor in (*left, reading, writing):
        os.close(descriptor)  # an error where it has been closed


def test_a_message_that_is_too_long_says_nothing() -> None:
    assert heard(lambda channel: channel.sendall(b"READY=1\n" + b"x" * notification.MESSAGE_MAX)) == []


def test_who_says_too_much_has_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcements, "AT_ONCE", 3)
    monkeypatch.setattr(announcements, "PER_SECOND", 0.001)

    def act(channel: socket.socket) -> None:
        for _ in range(8):
            channel.sendall(b"WATCHDOG=1")

    assert len(heard(act)) == 3
