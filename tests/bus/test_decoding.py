# SPDX-License-Identifier: GPL-3.0-or-later
"""What decoding bodies costs is paid by who sends them."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from dbus_next.signature import Variant

from bus.house import ALICE, BOB, MANAGER, ROOT_UID, House
from bus.polkit import YES
from mctld.bus.codec import VALUES_MAX, Header, Kind, Message
from mctld.bus.decoding import AT_ONCE, Decoding
from mctld.bus.descriptors import Descriptors
from mctld.bus.paths import ROOT
from mctld.bus.wire import ASKED_MAX, Frame
from mctld.quotas import Quotas

if TYPE_CHECKING:
    import pytest

FREEDESKTOP = "org.freedesktop.DBus.Error"
LONG = 1_000_000  # bytes that such a message is said to have


class Body:
    """In place of a message's: takes until it is let go, and tells."""

    def __init__(self, name: str, log: list[str], gate: threading.Event) -> None:
        self.frame = Frame(b"", 0, LONG)
        self._name, self._log, self._gate = name, log, gate

    def body(self) -> list[Any]:
        self._log.append(self._name)
        assert self._gate.wait(30)
        return [self._name]


async def test_users_take_turns_whoever_has_how_many() -> None:
    log: list[str] = []
    gate = threading.Event()
    decoding = Decoding()
    asked = [(f"alice {n}", ALICE) for n in range(5)] + [("bob", BOB)]
    tasks = [asyncio.create_task(decoding.body(Body(n, log, gate), uid)) for n, uid in asked]  # type: ignore[arg-type]
    while not log:
        await asyncio.sleep(0.001)
    tasks[1].cancel()  # who leaves while waiting leaves the turn to others
    await asyncio.sleep(0)
    assert log == ["alice 0"]
    gate.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert log == ["alice 0", "alice 2", "bob", "alice 3", "alice 4"]
    assert found[5] == ["bob"]
    assert not decoding._busy
    assert not decoding._waiting
    decoding.close()


async def test_who_leaves_just_when_it_would_be_their_turn_is_passed_over() -> None:
    decoding = Decoding()

    async def waiting() -> None:
        async with decoding._turn(ALICE):
            raise AssertionError("it is nobody's turn")

    async with decoding._turn(BOB):
        task = asyncio.create_task(waiting())
        await asyncio.sleep(0)
        task.cancel()
    (error,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(error, asyncio.CancelledError), repr(error)
    assert not decoding._busy


async def test_what_is_short_waits_for_nobody() -> None:
    gate = threading.Event()
    log: list[str] = []
    decoding = Decoding()
    long = asyncio.create_task(decoding.body(Body("long", log, gate), ALICE))  # type: ignore[arg-type]
    while not log:
        await asyncio.sleep(0.001)
    short = Message(Header(Kind.CALL, signature="s"), Frame(b"l\1\0\0\0\0\0a\0", 0, AT_ONCE), Descriptors())
    assert await decoding.body(Message(Header(Kind.CALL), short.frame, short.fds), BOB) == []
    gate.set()
    await long
    decoding.close()


async def test_a_long_message_counts_for_several_before_it_is_decoded(
    bus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    original = Decoding.body

    async def body(self: Decoding, message: Message, uid: int) -> list[Any]:
        decoded.append(uid)
        return await original(self, message, uid)

    monkeypatch.setattr(Decoding, "body", body)
    async with House(bus, quotas=Quotas(calls=20)) as house:
        house.polkit.decide = lambda _: YES
        alice, again, bob = [await house.client(uid) for uid in (ALICE, ALICE, BOB)]
        name = "x" * (ASKED_MAX - 1_000)
        assert (await alice.error(ROOT, MANAGER, "GetContainer", "s", name)).name == "org.mctl1.Error.NoSuchContainer"
        error = await again.error(ROOT, MANAGER, "GetContainer", "s", name)
        assert error.text == (
            "user 1000 calls more often than 20 times a second, the most for one user"
            " (a long message counts for several; CallsPerSecond= in mctld.conf(5)): wait a little"
        )
        assert decoded == [ALICE]
        await bob.manager("Can", "as", ["Privileged"])


async def test_a_dense_message_is_refused_without_being_decoded_to_the_end(house: House) -> None:
    client = await house.client(ROOT_UID)
    for values in (VALUES_MAX, ASKED_MAX // 2 - 1_000):
        options = {"X": Variant("an", [0] * values)}
        refused = await client.error(ROOT, MANAGER, "CreateContainer", "sa{sv}t", "web", options, 0)
        assert refused.name == f"{FREEDESKTOP}.LimitsExceeded"
        assert f"more than {VALUES_MAX} values" in refused.text


async def test_a_path_longer_than_any_message_of_ours_is_refused(house: House) -> None:
    """The bus lets it through: it must not look like a bus that talks nonsense."""
    client = await house.client(ROOT_UID)
    refused = await client.error("/" + "x" * (3 * ASKED_MAX), MANAGER, "ListContainers", "a{sv}t", {}, 0)
    assert refused.name == f"{FREEDESKTOP}.LimitsExceeded"
    assert await house.owns_its_name()
