# SPDX-License-Identifier: GPL-3.0-or-later
"""The store forgets nothing, gives no id twice, and says which file is wrong."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mctld.encoding import decode, encode
from mctld.errors import LimitsExceeded, NameTaken, StoreFailed, Unreadable
from mctld.ids import Ids
from mctld.limits import Limits
from mctld.spec import Rootfs, Spec, User
from mctld.state import State
from mctld.store import VERSION, Run, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mctld.store import Record



def ids(foreign: Callable[[], list[tuple[int, int]]] = list) -> Ids:
    return Ids(1_000_000, 65_536, 4, foreign)



@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "lib" / "state.db")


@pytest.fixture
def store(path: str) -> Iterator[Store]:
    made = Store(path, ids())
    yield made
    made.close()


@pytest.fixture
def add(make_spec: Callable[..., Spec]) -> Callable[[Store, str], Record]:
    return lambda store, name: store.add(
        identity=f"id-{name}", owner_uid=1000, created_usec=7, spec=make_spec(name=name)
    )


def test_a_spec_survives_its_encoding(make_spec: Callable[..., Spec]) -> None:
    spec = make_spec(
        rootfs=Rootfs("/srv/ü", 3, 4, (1000, 1001)), command=("a", "b c"), environment=("A=1",), user=User("1", "2"),
        limits=Limits(memory_max=5 << 20, io_weight=3, io_read_iops_max=(("/dev/sda", 9),)), labels=(("k", "v"),),
        auto_remove=True,
    )  # fmt: skip
    assert decode(encode(spec)) == spec


def test_what_was_stored_is_there_after_a_restart(path: str, store: Store, add: Callable[..., Record]) -> None:
    first, second = add(store, "a"), add(store, "b")
    run = Run(State.RUNNING, 42, 1, 2)
    store.update(first, run)
    store.close()
    again = Store(path, ids())
    assert again.load() == [(first, run), (second, Run())]
    again.close()


def test_a_name_is_given_once(store: Store, add: Callable[..., Record]) -> None:
    record = add(store, "a")
    with pytest.raises(NameTaken, match="'a' is taken"):
        store.add(identity="other", owner_uid=0, created_usec=1, spec=record.spec)
    store.remove(record)
    add(store, "a")


def test_ranges_never_overlap_and_are_freed(store: Store, add: Callable[..., Record]) -> None:
    records = [add(store, name) for name in "abcd"]
    assert sorted(r.uid_shift for r in records) == [1_000_000 + i * 65_536 for i in range(4)]
    with pytest.raises(LimitsExceeded, match="all 4 ranges"):
        add(store, "e")
    store.remove(records[2])
    assert add(store, "e").uid_shift == records[2].uid_shift


def test_a_freed_range_is_not_the_next_one(store: Store, add: Callable[..., Record]) -> None:
    record = add(store, "a")
    store.remove(record)
    assert add(store, "b").uid_shift != record.uid_shift


def test_used_ranges_are_known_after_a_restart(path: str, store: Store, add: Callable[..., Record]) -> None:
    taken = add(store, "a").uid_shift
    store.close()
    again = Store(path, ids())
    assert add(again, "b").uid_shift != taken
    again.close()


def test_a_newer_database_is_refused(path: str, store: Store) -> None:
    store.close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreFailed, match=f"is of version 99, this service knows up to {VERSION}: install"):
        Store(path, ids())


def test_a_newer_database_is_not_touched(path: str, store: Store, add: Callable[..., Record]) -> None:
    add(store, "a")
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
    before = {file: file.read_bytes() for file in sorted(Path(path).parent.rglob("*")) if file.is_file()}
    with pytest.raises(StoreFailed):
        Store(path, ids())
    assert {file: file.read_bytes() for file in sorted(Path(path).parent.rglob("*")) if file.is_file()} == before


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "JSONDecodeError"),
        ("[]", "AttributeError"),
        ('{"name": "b"}', "KeyError"),
        ("as it was, and a field of a later version", "TypeError"),
        ("as it was, of another name", "speaks of container 'a'"),
        ("as it was, with a signal that there is not", "StopSignal"),
    ],
)
def test_what_cannot_be_read_harms_nothing_else(
    path: str, store: Store, add: Callable[..., Record], text: str, why: str
) -> None:
    first, second, third = (add(store, name) for name in "abc")
    store.update(second, Run(State.RUNNING, 42, 1, 2))
    store.close()
    found = json.loads(encode(second.spec))
    spoilt = {
        "as it was, and a field of a later version": {**found, "later": 1},
        "as it was, of another name": {**found, "name": "a"},
        "as it was, with a signal that there is not": {**found, "stop_signal": 99},
    }
    with sqlite3.connect(path) as database:
        told = json.dumps(spoilt[text]) if text in spoilt else text
        database.execute("UPDATE container SET spec = ? WHERE name = 'b'", (told,))
    again = Store(path, ids())
    (one, _), (bad, run), (other, _) = again.load()
    assert (one, other) == (first, third)
    assert (bad.id, bad.spec.name, bad.owner_uid, bad.reserved) == (second.id, "b", 1000, second.reserved)
    assert run == Run(State.RUNNING, 42, 1, 2)
    assert why in bad.fault
    with pytest.raises(Unreadable):
        again.amend(bad, bad.spec)
    again.remove(bad)
    assert [r.spec.name for r, _ in again.load()] == ["a", "c"]
    again.close()


def test_a_state_of_a_later_version_gets_a_look(path: str, store: Store, add: Callable[..., Record]) -> None:
    add(store, "a")
    store.close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE container SET state = 'hibernating'")
    again = Store(path, ids())
    assert again.load()[0][1].state is State.RUNNING
    again.close()
