# SPDX-License-Identifier: GPL-3.0-or-later
"""polkit dies over a question: it is asked again when it is back, and nobody asks it before."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from mctld.bus import polkit
from mctld.bus.connection import RemoteError
from mctld.bus.polkit import DIED, TIMES, Polkit

if TYPE_CHECKING:
    from collections.abc import Sequence

GRANTED = [[True, False, {}]]


class Bus:
    """polkit dies over the first `dies` questions, and is back when PID 1 was asked for it `calls` times."""

    def __init__(self, *, dies: int = 0, calls: int = 1, masked: bool = False) -> None:
        self.dies = dies
        self.calls = calls
        self.masked = masked
        self.missing = 0  # so many calls of PID 1 it still takes
        self.asked: list[str] = []

    async def call(
        self, destination: str, path: str, interface: str, member: str, signature: str = "", body: Sequence[object] = ()
    ) -> list[Any]:
        self.asked.append(member)
        await asyncio.sleep(0)
        match member:
            case "NameHasOwner":
                return [not self.missing]
            case "StartUnit":
                assert body == ["polkit.service", "replace"]
                if self.masked:
                    raise RemoteError("org.freedesktop.systemd1.UnitMasked", "Unit polkit.service is masked.")
                self.missing -= 1
                return ["/job"]
        if self.missing:
            raise RemoteError("org.freedesktop.DBus.Error.TimedOut", "Failed to activate service")
        if self.dies:
            self.dies -= 1
            await asyncio.sleep(0.01)  # others ask meanwhile
            self.missing = self.calls
            raise RemoteError(DIED, "Message recipient disconnected from message bus without replying")
        return GRANTED

    def send(self, *_: object) -> None:
        raise AssertionError("nothing was given up")


def ask(bus: Bus, times: int = 1) -> list[object]:
    async def run() -> list[object]:
        made = Polkit(bus)
        return list(await asyncio.gather(*(made.check(["x"]) for _ in range(times)), return_exceptions=True))

    return asyncio.run(asyncio.wait_for(run(), 20))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polkit, "PAUSE", 0.001)


def test_one_that_answers_is_asked_once() -> None:
    bus = Bus()
    assert ask(bus) == [GRANTED]
    assert bus.asked == ["CheckAuthorization"]


def test_all_who_waited_for_it_get_their_answer() -> None:
    """PID 1 takes a moment to hear of the end: until then it has nothing to start."""
    bus = Bus(dies=2, calls=3)
    assert ask(bus, 2) == [GRANTED, GRANTED]
    assert bus.asked.count("StartUnit") == 3
    back = len(bus.asked) - bus.asked[::-1].index("StartUnit")
    assert "CheckAuthorization" not in bus.asked[2:back]


def test_one_that_dies_again_and_again_is_given_up() -> None:
    bus = Bus(dies=100)
    (error,) = ask(bus)
    assert isinstance(error, RemoteError)
    assert error.name == DIED
    assert bus.asked.count("CheckAuthorization") == TIMES


def test_one_that_does_not_come_back_is_not_waited_for() -> None:
    (error,) = ask(Bus(dies=1, masked=True))
    assert isinstance(error, RemoteError)
    assert "activate" in str(error)
