# SPDX-License-Identifier: GPL-3.0-or-later
"""What has been told is on the disk before anybody counts on it, and many share one fsync(2)."""

from __future__ import annotations

import errno
import threading
from collections import OrderedDict
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from mctld import database, durable
from mctld.ids import Ids
from mctld.lifecycle import disposal
from mctld.lifecycle.registry import Registry
from mctld.settlement import Settlement
from mctld.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mctld.spec import Spec

PATIENCE = 30.0  # seconds; nothing here takes that long
FOR_EVER = 1e6


class Disk:
    """In place of one: it takes its time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.began, self.goes_on = threading.Semaphore(0), threading.Semaphore(0)
        self.settled: list[str] = []
        self.fails = False
        monkeypatch.setattr(durable, "settle", self.settled.append)

    def records(self) -> None:
        self.began.release()
        assert self.goes_on.acquire(timeout=PATIENCE)
        if self.fails:
            raise OSError(errno.EIO, "the disk fails")
        self.settled.append("records")


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def settlement(disk: Disk) -> Iterator[Settlement]:
    made = Settlement(disk.records, pause=0)
    yield made
    for _ in range(10):
        disk.goes_on.release()
    made.close()


def wait_for(settlement: Settlement, told: int) -> threading.Thread:
    waiting = threading.Thread(target=settlement.wait, args=(told,), daemon=True)
    waiting.start()
    return waiting


def test_who_comes_while_it_is_written_waits_for_the_next_time(settlement: Settlement, disk: Disk) -> None:
    first = wait_for(settlement, settlement.tell("a"))
    assert disk.began.acquire(timeout=PATIENCE)
    marks = [settlement.tell("b", "c") for _ in range(100)]
    others = [wait_for(settlement, mark) for mark in marks]
    disk.goes_on.release()
    first.join(PATIENCE)
    assert disk.began.acquire(timeout=PATIENCE)
    assert disk.settled == ["a", "records", "b", "c"]  # files before the rows that need them, and each once
    assert all(other.is_alive() for other in others)
    disk.goes_on.release()
    for other in others:
        other.join(PATIENCE)
    assert disk.settled == ["a", "records", "b", "c", "records"]


def test_a_disk_that_fails_holds_up_nobody(settlement: Settlement, disk: Disk) -> None:
    """What waits may be what makes room."""
    disk.fails = True
    disk.goes_on.release()
    waiting = wait_for(settlement, settlement.tell())
    waiting.join(PATIENCE)
    assert not waiting.is_alive()


def test_what_comes_soon_after_shares_it_and_the_end_waits_for_nobody(disk: Disk) -> None:
    made = Settlement(disk.records, pause=FOR_EVER)
    disk.goes_on.release()
    disk.goes_on.release()
    made.tell("a")
    assert not disk.began.acquire(timeout=0.1)  # one that begins at once is in the way of the others' starts
    made.tell("b")
    made.close()
    assert disk.settled == ["a", "b", "records"]


def test_the_files_of_a_container_go_when_it_cannot_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_spec: Callable[..., Spec]
) -> None:
    """With its row on the disk and its files gone it would be back after a loss of power, and empty."""
    done: list[str] = []
    gone = threading.Event()

    def discard(_: str) -> None:
        done.append("discarded")
        gone.set()

    monkeypatch.setattr(disposal, "discard", discard)
    store = Store(str(tmp_path / "state.db"), Ids(1_000_000, 65_536, 4, list))
    monkeypatch.setattr(database, "settle", lambda _: done.append(f"settled {len(store.load())}"))
    record = store.add(identity="a" * 32, owner_uid=0, created_usec=1, spec=make_spec(name="web"))
    registry = Registry.__new__(Registry)
    registry._machinery = SimpleNamespace(  # type: ignore[assignment]
        store=store, disposal=disposal.Disposal(), settings=SimpleNamespace(containers=str(tmp_path)),
        events=SimpleNamespace(removed=lambda _: None), journals=SimpleNamespace(left=lambda *_: None),
    )  # fmt: skip
    container = SimpleNamespace(id=record.id, name="web", owner_uid=0, unit="", spec=record.spec)
    registry._by_name, registry._departed = {"web": container}, OrderedDict()  # type: ignore[dict-item]
    registry._remove(container, None, store.remove(record))  # type: ignore[arg-type]
    assert gone.wait(PATIENCE)
    store.close()
    assert done.index("settled 0") < done.index("discarded")
