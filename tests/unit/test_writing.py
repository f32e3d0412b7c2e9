# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that nobody reads hold up nobody but who asked for them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from mctld.errors import LimitsExceeded, StoreFailed
from mctld.images.sink import GivenUp, Sink
from mctld.lifecycle.admission import Admission
from mctld.lifecycle.writing import written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ALICE, BOB, CAROL = 1000, 1001, 1002
MORE_THAN_A_PIPE = b"x" * (4 << 20)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Its reading end and its writing end."""
    ends = os.pipe()
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


def big(write: Callable[[bytes], None]) -> None:
    write(MORE_THAN_A_PIPE)


def test_archives_that_nobody_reads_leave_the_common_threads_alone(pipe: tuple[int, int]) -> None:
    """asyncio's threads are needed by every start."""

    async def play() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        before = threading.active_count()
        waiting = [asyncio.create_task(written(Sink(pipe[1]), big, "x")) for _ in range(3)]
        while threading.active_count() < before + len(waiting):
            await asyncio.sleep(0.01)
        async with asyncio.timeout(30):
            assert await asyncio.to_thread(lambda: "another's start") == "another's start"
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in found)
        while threading.active_count() > before + 1:  # that of the common thread stays
            await asyncio.sleep(0.01)

    asyncio.run(play())


def test_a_reader_that_leaves_is_a_failure(pipe: tuple[int, int]) -> None:
    async def play() -> None:
        os.close(pipe[0])
        with pytest.raises(StoreFailed, match="it could not be saved: Broken pipe"):
            await written(Sink(pipe[1]), big, "it could not be saved")

    asyncio.run(play())


def test_what_was_written_is_what_was_read(pipe: tuple[int, int]) -> None:
    async def play() -> None:
        async def read() -> bytes:
            return await asyncio.to_thread(lambda: os.fdopen(pipe[0], "rb", closefd=False).read(len(MORE_THAN_A_PIPE)))

        reading = asyncio.create_task(read())
        await written(Sink(pipe[1]), big, "x")
        assert await reading == MORE_THAN_A_PIPE
        assert os.get_blocking(pipe[1])  # its flags are the caller's

    asyncio.run(play())


class Promising:
    """poll(2) as it is where others write to the same pipe: there was room."""

    def poll(self, _milliseconds: int) -> list[tuple[int, int]]:
        return [(0, 0)]


def test_room_that_others_have_taken_meanwhile_is_waited_for_and_given_up(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(pipe[1], bytes(4096))
    os.set_blocking(pipe[1], True)
    sink = Sink(pipe[1])
    sink._poller = Promising()  # type: ignore[assignment]
    ended: list[str] = []

    def work() -> None:
        try:
            sink.write(b"x")
        except GivenUp:
            ended.append("given up")

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    sink.cancel()
    thread.join(10)
    sink.close()
    assert ended == ["given up"]


def test_so_many_of_one_user_and_in_all() -> None:
    admission = Admission(2, 3, "are being written")
    with contextlib.ExitStack() as under_way:
        for uid in (ALICE, ALICE):
            under_way.enter_context(admission.of(uid))
        with (
            pytest.raises(LimitsExceeded, match="2 archives of yours and 2 in all are being written: the most is 2 an"),
            admission.of(ALICE),
        ):
            pass
        under_way.enter_context(admission.of(BOB))
        with pytest.raises(LimitsExceeded, match="0 archives of yours and 3 in all"), admission.of(CAROL):
            pass
        with admission.of(0):  # an administrator always may
            pass
    with admission.of(ALICE), admission.of(ALICE), admission.of(CAROL):
        pass
