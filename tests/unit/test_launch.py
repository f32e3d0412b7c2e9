# SPDX-License-Identifier: GPL-3.0-or-later
"""The conversation with the spawner, played by a socket that takes its time."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from mctld.errors import SetupFailed
from mctld.runtime.launch import Spawner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REQUESTS = 600


class SlowSpawner:
    """Answers nothing before it is let go; then each request with its name, and with the descriptors that came."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(path))
        self._listener.listen()
        self.go = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        self.go.wait(30)
        with client:
            while request := socket.recv_fds(client, 1 << 16, 8)[:2]:
                message, descriptors = request
                if not message:
                    return
                socket.send_fds(client, [answer(json.loads(message))], descriptors)
                for descriptor in descriptors:
                    os.close(descriptor)

    def close(self) -> None:
        self.go.set()
        self._listener.close()
        self._thread.join(10)


def answer(request: dict[str, Any]) -> bytes:
    if request["verb"] == "status":
        return json.dumps({"code": os.CLD_EXITED, "status": int(request["name"]), "note": None}).encode()
    return json.dumps({"pid": 7, "protocol": None, "children": {}}).encode()


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[SlowSpawner]:
    made = SlowSpawner(tmp_path / "spawner")
    yield made
    made.close()


def test_a_busy_spawner_is_not_taken_for_one_that_is_gone(slow: SlowSpawner) -> None:
    """The kernel keeps some ten requests (net.unix.max_dgram_qlen): a thousand exits at once are more."""
    async def converse() -> None:
        spawner = Spawner(str(slow.path))
        asked = [asyncio.create_task(spawner.status(str(number))) for number in range(REQUESTS)]
        await asyncio.sleep(0)
        slow.go.set()
        assert [status.status for status in await asyncio.gather(*asked)] == list(range(REQUESTS))
        spawner.close()

    asyncio.run(converse())


def test_who_waits_may_go(slow: SlowSpawner) -> None:
    """Its request has its turn all the same, with descriptors of its own, and the others get their own answers."""
    async def converse() -> None:
        spawner = Spawner(str(slow.path))
        before = len(os.listdir("/proc/self/fd"))
        asked = [asyncio.create_task(spawner.status(str(number))) for number in range(REQUESTS)]
        await asyncio.sleep(0)
        reading, writing = os.pipe()
        gone = asyncio.create_task(spawner._ask({"verb": "join"}, [reading]))
        last = asyncio.create_task(spawner.status("1"))
        await asyncio.sleep(0)
        gone.cancel()
        os.close(reading)
        slow.go.set()
        await asyncio.gather(*asked)
        assert (await last).status == 1
        os.close(writing)
        spawner.close()
        slow.close()  # its thread has received descriptors too
        assert len(os.listdir("/proc/self/fd")) <= before

    asyncio.run(converse())


def test_a_request_that_cannot_be_kept_harms_no_other(slow: SlowSpawner, monkeypatch: pytest.MonkeyPatch) -> None:
    async def converse() -> None:
        def none_left(_: int) -> int:
            raise OSError(24, "Too many open files")

        spawner = Spawner(str(slow.path))
        asked = [asyncio.create_task(spawner.status(str(number))) for number in range(REQUESTS)]
        await asyncio.sleep(0)
        monkeypatch.setattr(os, "dup", none_left)
        with pytest.raises(SetupFailed, match="Too many open files"):
            await spawner._ask({"verb": "join"}, [0])
        slow.go.set()
        assert [status.status for status in await asyncio.gather(*asked)] == list(range(REQUESTS))
        spawner.close()

    asyncio.run(converse())


def test_one_that_is_gone_is_noticed_before_it_is_asked(tmp_path: Path) -> None:
    """PID 1 starts another for whoever connects anew, and what the first has still answered counts."""

    async def run() -> None:
        place = str(tmp_path / "spawner.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(place)
            listener.listen()
            spawner = Spawner(place)
            asked = asyncio.ensure_future(spawner.status("7"))
            await asyncio.sleep(0)
            with listener.accept()[0] as first:
                first.send(answer(json.loads(first.recv(1000))))
            later = asyncio.ensure_future(spawner.status("8"))  # the event loop has not heard of its end
            await asyncio.sleep(0)
            with listener.accept()[0] as second:
                second.send(answer(json.loads(second.recv(1000))))
                found = await asyncio.wait_for(asyncio.gather(asked, later), 5)
            assert [status.status for status in found] == [7, 8]
            spawner.close()

    asyncio.run(run())
