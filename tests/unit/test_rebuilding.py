# SPDX-License-Identifier: GPL-3.0-or-later
"""A database that is lost is built anew: from the copies, and where there is none, from what can be seen."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Any

import pytest

from mctld.configuration import Configuration
from mctld.errors import StoreFailed
from mctld.ids import Ids
from mctld.image import Image, ImageRoot, Layer
from mctld.limits import Limits
from mctld.networking import Network, Networking
from mctld.ports import Port
from mctld.reference import Reference
from mctld.state import State
from mctld.store import Run, Store
from mctld.unreadable import Witness

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mctld.spec import Spec
    from mctld.store import Record

FIRST, SIZE = 1_000_000, 65_536
BACK = Network("back", "mctl7", 1000, IPv4Network("10.90.3.0/24"), IPv6Network("fd00:1::/64"), 5, internal=True)
UNUSED = Network("unused", "mctl8", 1000, IPv4Network("10.90.4.0/24"), IPv6Network("fd00:2::/64"), 6)
LAYER = Layer(f"sha256:{'7' * 64}", 100, 3, has_root=True)
IMAGE = Image(
    "key", f"sha256:{'8' * 64}", 1000, bool(0), 1, 2, Configuration.parse("{}"), (LAYER,), (Reference("app", "1"),)
)  # fmt: skip
EXITED = Run(State.EXITED, 0, 1, 2, 3, 4, "exited", 9)
RUNNING = Run(State.RUNNING, 42, 1, 2)



def shorten(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 3)


def scribble(path: Path) -> None:
    random.seed(7)
    path.write_bytes(random.randbytes(80 << 10))


def scribble_inside(path: Path) -> None:
    """The header is whole."""
    random.seed(7)
    data = bytearray(path.read_bytes())
    data[4096:] = random.randbytes(len(data) - 4096)
    path.write_bytes(data)


def make_nonsense(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA foreign_keys = OFF")
        database.execute("UPDATE network SET subnet = 'nowhere' WHERE name = 'back'")


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "truncated": shorten,
    "random": scribble,
    "random behind the header": scribble_inside,
    "nonsense": make_nonsense,
    "empty": lambda path: os.truncate(path, 0),
    "missing": os.unlink,
}


class House:
    """A store in a directory, before and after."""

    def __init__(self, directory: Path, make_spec: Callable[..., Spec]) -> None:
        self.directory = directory
        self.path = directory / "state.db"
        self.make_spec = make_spec
        self.store = self.open()

    def open(self, witnesses: Mapping[str, Witness] | None = None) -> Store:
        self.store = Store(str(self.path), Ids(FIRST, SIZE, 10), lambda: witnesses or {})
        return self.store

    def fill(self) -> dict[str, Record]:
        for network in (BACK, UNUSED):
            self.store.add_network(network)
        self.store.catalog.add(IMAGE)
        found = {}
        for number, name in enumerate(("web", "db", "job")):
            spec = self.make_spec(
                name=name, labels=(("k", "ü"),), rootfs=ImageRoot.of(IMAGE, "app:1"),
                networking=Networking(("back",), ports=(Port("tcp", "", 8080 + number, 80),)),
            )  # fmt: skip
            found[name] = self.store.add(
                identity=f"{number + 1:032x}", owner_uid=1000 + number, created_usec=number, spec=spec, networks=[BACK]
            )
        self.store.remove(found["web"])  # so that the next addresses and ids are not the first ones
        return {name: found[name] for name in ("db", "job")}

    def everything(self) -> tuple[Any, ...]:
        """Also what the store remembers of it."""
        store = self.store
        leases = [store.leases.of(record.id) for record, _ in store.load()]
        return store.load(), leases, store.leases.networks(), store.catalog.all(), store.catalog.layers()


@pytest.fixture
def house(tmp_path: Path, make_spec: Callable[..., Spec]) -> House:
    return House(tmp_path / "lib", make_spec)


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_lost_database_is_built_anew(house: House, kind: str) -> None:
    records = house.fill()
    records["db"] = house.store.amend(records["db"], replace(records["db"].spec, limits=Limits(tasks_max=7)))
    house.store.update(records["job"], EXITED)
    before = house.everything()
    house.store.close()
    DAMAGE[kind](house.path)
    store = house.open()
    assert house.everything() == before
    assert store.restored == {record.id for record in records.values()}
    aside = list(house.directory.glob("state.db.damaged-2*Z"))
    assert len(aside) == (0 if kind in ("empty", "missing") else 1)
    assert any(str(file) in sentence for file in aside for sentence in store.told) or not aside
    fresh = store.add(
        identity="f" * 32, owner_uid=0, created_usec=9, spec=house.make_spec(name="new"), networks=[BACK]
    )  # fmt: skip
    others = {record.reserved for record in records.values()}, {str(lease.address) for lease in before[1][0]}
    assert fresh.reserved not in others[0]
    assert not {str(lease.address) for lease in store.leases.of(fresh.id)} & others[1]
    assert store.examine() == ""
    store.close()
    assert house.open().restored == frozenset()


def test_what_was_removed_does_not_come_back(house: House) -> None:
    records = house.fill()
    house.store.remove(records["db"])
    house.store.remove_network(UNUSED)
    house.store.catalog.remove(IMAGE)
    house.store.close()
    os.unlink(house.path)
    store = house.open()
    assert [record.spec.name for record, _ in store.load()] == ["job"]
    assert [network.name for network in store.leases.networks()] == ["back"]
    assert store.catalog.all() == ()


def test_what_runs_is_told_apart_by_those_who_see_it(house: House) -> None:
    """The copy does not say that it runs: that is the kernel's to tell."""
    records = house.fill()
    house.store.update(records["db"], RUNNING)
    house.store.close()
    os.unlink(house.path)
    assert house.open().load()[0] == (records["db"], Run())


@pytest.mark.parametrize("text", ["", "{", '{"container": [{"later": 1}]}', "[]", None])
def test_a_container_without_a_copy_is_there_all_the_same(house: House, text: str | None) -> None:
    records = house.fill()
    lost, seen = records["db"], records["job"]
    for record in (lost, seen):
        place = house.directory / "containers" / record.id
        (place / "upper").mkdir()
        if text is None:
            (place / "record.json").unlink()
            (house.directory / "catalog.json").unlink(missing_ok=True)
            shutil.rmtree(house.directory / "containers" / f"{1:032x}", ignore_errors=True)
        else:
            (place / "record.json").write_text(text)
    house.store.close()
    os.unlink(house.path)
    store = house.open({seen.id: Witness("job", 1002, seen.reserved, 42), "e" * 32: Witness("bare", 7, 5, 43)})
    found = {record.id: record for record, _ in store.load()}
    assert {r.spec.name for r in found.values()} == {f"unreadable-{lost.id}", "job", "bare"}
    assert (found[seen.id].owner_uid, found[seen.id].reserved) == (1002, seen.reserved)
    assert len({record.reserved for record in found.values()}) == 3
    assert all("lost" in r.fault or "copy" in r.fault for r in found.values())
    assert store.has_guesses()
    for record in found.values():
        store.remove(record)
    store.close()
    assert house.open().load() == []


def test_rows_that_were_lost_with_the_log_are_put_back(house: House) -> None:
    """SQLite takes a log that was cut off for one that ends there: the database is sound, and older."""
    house.fill()
    house.store.close()
    old = house.path.read_bytes()
    house.open().add(identity="a" * 32, owner_uid=5, created_usec=1, spec=house.make_spec(name="late"))
    before = house.everything()
    house.store.close()
    house.path.write_bytes(old)
    store = house.open()
    assert house.everything() == before
    assert store.told == ["Container late was missing in the database and is put back from its copy"]


def test_directories_of_nobody_are_left_to_be_swept(house: House) -> None:
    house.fill()
    (house.directory / "containers" / ("c" * 32) / "work").mkdir(parents=True)
    house.store.close()
    store = house.open()
    assert [r.spec.name for r, _ in store.load()] == ["db", "job"]
    assert not store.has_guesses()


@pytest.mark.parametrize("runs", [False, True])
def test_what_was_being_made_when_the_power_was_lost_is_gone(house: House, *, runs: bool) -> None:
    """Then there is an empty copy beside a sound database (open(2) and rename(2) outlive what is written)."""
    kept = house.fill()
    place = house.directory / "containers" / ("d" * 32)
    (place / "upper").mkdir(parents=True)
    (place / "record.json").touch()
    house.store.close()
    store = house.open({"d" * 32: Witness("late", 1002, FIRST + 5 * SIZE, 42)} if runs else {})
    assert {record.spec.name for record, _ in store.load()} == {*kept, *(["late"] if runs else [])}
    told = f"Container {'d' * 32} was being made when the host lost its power, and is gone"
    assert store.told == ([] if runs else [told])


def test_an_empty_copy_beside_its_row_is_written_anew(house: House) -> None:
    record = house.fill()["db"]
    copy = house.directory / "containers" / record.id / "record.json"
    before = copy.read_text()
    copy.write_text("")
    house.store.close()
    house.open()
    assert copy.read_text() == before


def test_what_was_stored_before_there_were_copies_gets_one(house: House) -> None:
    records = house.fill()
    before = house.everything()
    files = [house.directory / "catalog.json"]
    files += [house.directory / "containers" / record.id / "record.json" for record in records.values()]
    for file in files:
        file.unlink()
    house.store.close()
    house.open().close()
    os.unlink(house.path)
    house.open()
    assert house.everything() == before


def test_a_container_that_cannot_be_kept_is_not_made(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_from: str, _to: str) -> None:
        raise OSError(28, "No space left on device")

    house.fill()
    before = house.everything()
    monkeypatch.setattr("mctld.copies.os.rename", full)
    with pytest.raises(StoreFailed, match="is on a full file system: make room there"):
        house.store.add(identity="a" * 32, owner_uid=5, created_usec=1, spec=house.make_spec(name="late"))
    with pytest.raises(StoreFailed, match="is on a full file system: make room there"):
        house.store.amend(before[0][0][0], replace(before[0][0][0].spec, limits=Limits(tasks_max=7)))
    assert house.everything() == before
    assert not (house.directory / "containers" / ("a" * 32)).exists()
