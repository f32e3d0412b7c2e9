# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose turn it is to change a container."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from mctld.errors import NoSuchContainer
from mctld.lifecycle.precedence import Precedence
from mctld.state import State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Scene:
    """A container, and what is done to it, in order."""

    def __init__(self) -> None:
        self.container = SimpleNamespace(name="web", state=State.RUNNING)
        self.lock = Precedence(self.container)  # type: ignore[arg-type]
        self.done: list[str] = []

    async def change(self, what: str) -> None:
        async with self.lock:
            self.done.append(f"{what} begins")
            await passing()
            self.done.append(f"{what} ends")


async def passing() -> None:
    """Everybody who can comes to their turn."""
    for _ in range(20):
        await asyncio.sleep(0)


def played(work: Callable[[Scene], Awaitable[Any]]) -> Scene:
    scene = Scene()

    async def whole() -> None:
        async with asyncio.timeout(30):
            await work(scene)

    asyncio.run(whole())
    return scene


def test_one_change_follows_the_other() -> None:
    async def work(scene: Scene) -> None:
        await asyncio.gather(scene.change("first"), scene.change("second"))

    assert played(work).done == ["first begins", "first ends", "second begins", "second ends"]


def test_nobody_comes_between_an_end_and_what_was_wanted_after_it() -> None:
    async def restart(scene: Scene) -> None:
        async with scene.lock.taken():
            while "pause ends" not in scene.done:
                await asyncio.sleep(0)
            scene.container.state = State.EXITED
            scene.done.append("ended")
            await passing()
            await scene.change("start")
            scene.container.state = State.RUNNING

    async def work(scene: Scene) -> None:
        restarting = asyncio.create_task(restart(scene))
        await asyncio.sleep(0)
        await scene.change("pause")  # as long as it runs nobody waits
        while scene.container.state is State.RUNNING:
            await asyncio.sleep(0)
        await asyncio.gather(scene.change("rename"), scene.change("remove"), restarting)

    assert [what for what in played(work).done if not what.endswith("begins")] == [
        "pause ends", "ended", "start ends", "rename ends", "remove ends"
    ]  # fmt: skip


def test_who_wants_it_ended_waits_for_who_wanted_that_before() -> None:
    async def ending(scene: Scene, what: str) -> None:
        async with scene.lock.taken(), scene.lock.taken():
            scene.done.append(f"{what} begins")
            await passing()
            scene.done.append(f"{what} ends")

    async def work(scene: Scene) -> None:
        await asyncio.gather(ending(scene, "restart"), ending(scene, "remove"))

    assert played(work).done == ["restart begins", "restart ends", "remove begins", "remove ends"]


@pytest.mark.parametrize("how", ["change", "precedence"])
def test_who_has_waited_for_one_that_was_renamed_meanwhile_is_told(how: str) -> None:
    async def rename(scene: Scene) -> None:
        async with scene.lock.taken(), scene.lock:
            await passing()
            scene.container.name = "old"

    async def start(scene: Scene) -> None:
        with pytest.raises(NoSuchContainer, match="'web' has been renamed to 'old'"):
            async with scene.lock if how == "change" else scene.lock.taken():
                scene.done.append("started")

    async def work(scene: Scene) -> None:
        await asyncio.gather(rename(scene), start(scene))
        await scene.change("afterwards")

    assert played(work).done == ["afterwards begins", "afterwards ends"]
