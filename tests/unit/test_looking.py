# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user has looked at, and how long that takes, is the user's choice: nobody else waits for it."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from mctld.bus import lists
from mctld.bus.codec import MESSAGE_MAX, Encoded, encode_properties
from mctld.bus.lists import AT_ONCE, Latest, Lists
from mctld.errors import LimitsExceeded
from mctld.images.merge import Node
from mctld.lifecycle import deriving
from mctld.lifecycle.container import Container
from mctld.lifecycle.lanes import LOOKS, Lanes
from mctld.runtime import processes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ALICE = 1000


async def no_hindrance() -> None:
    pass


CALL: Any = SimpleNamespace(uid=ALICE, check_unread=no_hindrance)


class Stuck:
    """Work that goes on until it is let go, and counts how often it has begun."""

    def __init__(self) -> None:
        self.begun = 0
        self.on_the_loop = False
        self._loop = threading.get_ident()
        self._free = threading.Event()

    def __call__(self) -> None:
        self.begun += 1
        self.on_the_loop |= threading.get_ident() == self._loop
        assert self._free.wait(60)

    def let_go(self) -> None:
        self._free.set()


async def play(stuck: Stuck, ask: Callable[[], Awaitable[Any]]) -> None:
    """Many calls of one user's: the threads that every start needs stay free."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    calls = [asyncio.ensure_future(ask()) for _ in range(4 * LOOKS)]
    async with asyncio.timeout(30):
        while stuck.begun < LOOKS:
            await asyncio.sleep(0.001)
        assert await asyncio.to_thread(lambda: "anybody's") == "anybody's"
    assert stuck.begun == LOOKS
    stuck.let_go()
    await asyncio.gather(*calls)
    assert not stuck.on_the_loop


def test_processes_are_read_and_told_beside_everybody_elses_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = Stuck()
    monkeypatch.setattr(processes, "read", lambda _: ["first"])
    container: Any = SimpleNamespace(
        owner_uid=ALICE,
        control_group="/web",
        _machinery=SimpleNamespace(looking=Lanes(LOOKS)),
        _refuse_if_gone=lambda: None,
        _refuse_if_not_running=lambda: None,
    )
    asyncio.run(play(stuck, lambda: Container.processes(container, lambda _: stuck(), no_hindrance)))


def test_an_images_links_are_followed_beside_everybody_elses_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = Stuck()

    def resolve(_: bytes) -> tuple[tuple[bytes, ...], Node]:
        stuck()
        return (b"etc",), Node(os.stat("/"), (0,))

    images: Any = SimpleNamespace(held=lambda _: nullcontext(), looking=Lanes(LOOKS))
    merge: Any = SimpleNamespace(resolve=resolve)
    monkeypatch.setattr(deriving, "_merge", lambda *_: nullcontext(merge))
    image: Any = None
    asyncio.run(play(stuck, lambda: deriving.resolve(images, image, "/etc", ALICE)))


def test_long_lists_are_made_beside_everybody_elses_work(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck, made = Stuck(), Lists()

    def encode(_: object) -> Encoded:
        stuck()
        return Encoded(b"")

    monkeypatch.setattr(lists, "encode_properties", encode)
    asyncio.run(play(stuck, lambda: made.made(CALL, [[("Name", "s", "x")]] * (AT_ONCE + 1))))


def test_a_list_that_no_message_holds_is_not_made_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def encode(row: object) -> Encoded:
        seen.append(row)
        return Encoded(bytes(MESSAGE_MAX // 2))

    monkeypatch.setattr(lists, "encode_properties", encode)
    with pytest.raises(LimitsExceeded, match="more than"):
        asyncio.run(Lists().made(CALL, [[]] * 100))
    assert len(seen) == 3


def test_what_has_changed_meanwhile_is_told_as_it_is() -> None:
    then, now = [("Name", "s", "then")], [("Name", "s", "now")]
    latest = Latest({"/a": then}, [Encoded(b"kept")])
    assert latest("/a", list(then)).content == b"kept"
    assert latest("/a", now).content == latest("/new", now).content == encode_properties(now).content
