# SPDX-License-Identifier: GPL-3.0-or-later
"""Peers who never read what they are sent harm nobody but themselves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bus.house import ALICE, BOB, MANAGER, NAME, ROOT_UID, Client, House
from bus.polkit import YES
from mctld.bus import backlog
from mctld.bus.backlog import Backlog
from mctld.bus.connection import BUS, BUS_PATH, Connection, RemoteError
from mctld.bus.paths import ROOT
from mctld.errors import LimitsExceeded

if TYPE_CHECKING:
    import pytest

    from bus.simulation import SimulatedContainer

ROUNDS = 50
BURST = 10  # events of 80 kB: 40 MB in all for each, where the bus keeps 16 MiB of ours
ANSWER_SECONDS = 5  # for one small call, so that only silence takes longer
LABELS = tuple((f"note{number}", "x" * 4000) for number in range(20))


class Mute:
    """A client that asks and never reads again."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.name = connection.unique_name

    @classmethod
    async def open(cls, house: House, uid: int, *, subscribed: bool) -> Mute:
        connection = await Connection.open(house.address)
        house._uids[connection.unique_name] = uid
        if subscribed:
            await connection.call(NAME, ROOT, MANAGER, "Subscribe")
        asyncio.get_running_loop().remove_reader(connection._transport._sock)
        return cls(connection)


def big(house: House) -> SimulatedContainer:
    return house.registry.add("web", ALICE, labels=LABELS)


async def stays_usable(house: House, reader: Client, web: SimulatedContainer) -> bool:
    for _ in range(ROUNDS):
        for _ in range(BURST):
            house.registry.events.added(web)  # type: ignore[arg-type]
        try:
            await asyncio.wait_for(reader.settled(), ANSWER_SECONDS)
        except TimeoutError:
            return False
    return True


async def test_without_accounts_two_of_them_silence_the_service(
    narrow_bus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason for backlog.py: when this fails, dbus-daemon has learned to keep accounts, and it may go."""
    monkeypatch.setattr(backlog, "LIMIT", 1 << 40)
    house = House(narrow_bus)
    await house.__aenter__()
    house.polkit.decide = lambda _: YES
    mutes = [await Mute.open(house, uid, subscribed=True) for uid in (ROOT_UID, BOB)]
    reader = await house.client(ROOT_UID)
    assert not await stays_usable(house, reader, big(house))
    assert mutes  # their sockets are open until here
    # Nothing can be closed in order any more: it all ends with the test's own bus and loop.


async def test_subscribers_who_never_read(narrow_bus: str) -> None:
    async with House(narrow_bus) as house:
        house.polkit.decide = lambda _: YES
        mutes = [await Mute.open(house, uid, subscribed=True) for uid in (ROOT_UID, BOB)]
        alice = await house.client(ALICE)
        await alice.manager("Subscribe")
        assert await stays_usable(house, alice, big(house))
        assert len(alice.signals) == ROUNDS * BURST + 1
        assert set(house.registry.events._listeners[0]._subscribers) == {alice.name}  # type: ignore[attr-defined]
        for mute in mutes:
            mute.connection._transport.close("test")
        await alice.settled()


async def test_callers_who_never_read_answers(narrow_bus: str) -> None:
    async with House(narrow_bus) as house:
        for number in range(5):
            house.registry.add(f"web{number}", ALICE, labels=LABELS)
        house.registry.add("web", ALICE)
        mutes = [await Mute.open(house, ROOT_UID, subscribed=False) for _ in range(3)]
        for mute in mutes:
            for _ in range(20):  # 20 answers of 0.4 MB
                future = asyncio.ensure_future(
                    mute.connection.call(NAME, ROOT, MANAGER, "ListContainers", "a{sv}t", [{}, 0])
                )
                future.add_done_callback(lambda done: done.cancelled() or done.exception())
        alice = await house.client(ALICE)
        house.polkit.decide = lambda _: YES
        async with asyncio.timeout(10):
            for _ in range(20):
                await alice.manager("GetContainer", "s", "web")
                await asyncio.sleep(0.02)
        root = await house.client(ROOT_UID)
        refused = await root.error(ROOT, MANAGER, "GetContainer", "s", "web")
        assert "read them first" in refused.text
        for mute in mutes:
            mute.connection._transport.close("test")
        async with asyncio.timeout(10):
            while not await answers(root):  # until the bus daemon has seen them leave
                await alice.settled()


async def answers(client: Client) -> bool:
    try:
        return bool(await client.manager("GetContainer", "s", "web"))
    except RemoteError:
        return False


async def test_readers_of_much_are_never_refused(narrow_bus: str) -> None:
    async with House(narrow_bus) as house:
        for number in range(5):
            house.registry.add(f"web{number}", ALICE, labels=LABELS)
        root = await house.client(ROOT_UID)
        for _ in range(10):  # 0.4 MB each
            replies = await asyncio.gather(*(root.manager("ListContainers", "a{sv}t", {}, 0) for _ in range(5)))
            assert all(len(listed) == 5 for (listed,) in replies)


async def test_without_statistics_nothing_is_limited(bus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """dbus-broker, and dbus-daemon where it is built without them."""
    monkeypatch.setattr(backlog, "STATS", "org.example.Absent")
    monkeypatch.setattr(backlog, "LIMIT", 0)
    async with House(bus) as house:
        house.registry.add("web", ALICE)
        root = await house.client(ROOT_UID)
        for _ in range(10):
            await root.manager("GetContainer", "s", "web")


async def test_the_bus_has_statistics_here(bus: str) -> None:
    connection = await Connection.open(bus)
    try:
        (numbers,) = await connection.call(
            BUS, BUS_PATH, backlog.STATS, "GetConnectionStats", "s", [connection.unique_name]
        )
    except RemoteError as error:
        raise AssertionError("the tests above prove nothing without") from error
    assert "OutgoingBytes" in numbers
    await connection.close()


async def test_what_came_to_lie_unread_while_polkit_was_asked(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else sixty calls at a time are let in before the first answer counts, and each may have megabytes."""
    alice = await house.client(ALICE)
    house.registry.add("web", ALICE)
    house.polkit.decide = lambda _: YES

    async def check(_: Backlog, sender: str, uid: int) -> None:
        if house.polkit.asked and uid == ALICE and sender == alice.name:
            raise LimitsExceeded("read them first")

    monkeypatch.setattr(Backlog, "check", check)
    refused = await alice.error(ROOT, MANAGER, "GetContainer", "s", "web")
    assert house.polkit.asked
    assert "read them first" in refused.text
