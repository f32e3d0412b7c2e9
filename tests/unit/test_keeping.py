# SPDX-License-Identifier: GPL-3.0-or-later
"""What PID 1 keeps of runs: found again by the next instance, whose names fit, and shared by all users."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from secrets import token_hex

import pytest

from mctld.errors import LimitReached
from mctld.lifecycle import announcements, keeping, lastword, stdio, terminal
from mctld.lifecycle.keeping import NAME_MAX, ROOM, STRING_MAX, Keeping, name
from mctld.systemd import notify

ROOT, ALICE, BOB, CAROL = 0, 1000, 1001, 1002
UNIT = Path(__file__).parents[2] / "units/mctld.service"
STREAMS = [lastword.KEPT, announcements.KEPT, terminal.NAME, *(stream for stream, _ in stdio.STREAMS)]
CLIENTS = [f"{terminal.CLIENT}{number}" for number in range(terminal.CLIENTS_MAX)]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """PID 1's."""
    kept: dict[str, int] = {}
    monkeypatch.setattr(notify, "keep", kept.__setitem__)
    monkeypatch.setattr(notify, "drop", kept.__delitem__)
    return kept


def test_the_names_of_all_fit_into_one_variable() -> None:
    """Else execve(2) fails, whoever starts the service next, until somebody stops it and loses what was kept."""
    (room,) = re.findall(r"^FileDescriptorStoreMax=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert int(room) == ROOM
    assert len(f"LISTEN_FDNAMES={'x' * NAME_MAX * ROOM}") < STRING_MAX
    for stream in STREAMS + CLIENTS:
        made = name(token_hex(16), stream)
        assert len(f"{made}:") <= NAME_MAX
        assert re.fullmatch(r"[A-Za-z0-9_-]+", made)


def test_what_was_kept_is_found_by_its_container_and_stream(store: dict[str, int]) -> None:
    first, other = token_hex(16), token_hex(16)
    for number, stream in enumerate(STREAMS + CLIENTS):
        Keeping().of(ALICE, first).keep(stream, number)
    Keeping().of(ALICE, other).keep(lastword.KEPT, 77)
    found = dict(store)
    assert Keeping().of(ALICE, first).claim(found) == {s: n for n, s in enumerate(STREAMS + CLIENTS)}
    assert list(found.values()) == [77]


def test_one_user_leaves_room_for_the_next(store: dict[str, int]) -> None:
    shares = Keeping(64)
    for user, most in ((ALICE, 32), (BOB, 16), (CAROL, 8)):
        for number in range(most):
            shares.of(user, f"{user}-{number}").keep(lastword.KEPT, number)
            assert len(store) <= 56
        with pytest.raises(LimitReached, match=f"keeps {most} descriptors of user {user}'s .* above {most}, half"):
            shares.of(user, "one-more").check(1)
    shares.of(ROOT, "roots").check(8)
    with pytest.raises(LimitReached):
        shares.of(ROOT, "roots").check(9)
    for number in range(32 - 20 + 2):  # BOB and CAROL leave her 20 now
        shares.of(ALICE, f"{ALICE}-{number}").drop(lastword.KEPT)
    shares.of(ALICE, "one-more").check(2)


def test_what_an_earlier_instance_had_kept_counts() -> None:
    found = {name("abc", stream): 3 for stream in CLIENTS}
    shares = Keeping(32)
    shares.of(ALICE, "abc").claim(found)
    with pytest.raises(LimitReached):
        shares.of(ALICE, "def").check(1)


def test_pid_1_gets_nothing_of_a_run_that_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It forks to let go of a descriptor. The other one's time is up later."""
    told: list[str] = []
    monkeypatch.setattr(notify, "keep", lambda name, _: told.append(f"keep {name}"))
    monkeypatch.setattr(notify, "drop", lambda name: told.append(f"drop {name}"))
    monkeypatch.setattr(keeping, "SOON", 0.01)

    async def begin() -> None:
        kept = {identity: Keeping().of(ALICE, identity) for identity in ("short", "long")}
        for each in kept.values():
            each.keep_soon(lastword.KEPT, 3)
        kept["short"].drop(lastword.KEPT)
        async with asyncio.timeout(20):
            while not told:
                await asyncio.sleep(0.01)
        kept["long"].drop(lastword.KEPT)

    asyncio.run(begin())
    long = name("long", lastword.KEPT)
    assert told == [f"keep {long}", f"drop {long}"]


def test_what_is_kept_soon_takes_its_place_at_once(store: dict[str, int]) -> None:
    async def begin() -> None:
        shares = Keeping(4)
        for number in range(2):
            shares.of(ALICE, f"{number}").keep_soon(lastword.KEPT, number)
        with pytest.raises(LimitReached):
            shares.of(ALICE, "one-more").check(1)

    asyncio.run(begin())
    assert store == {}
