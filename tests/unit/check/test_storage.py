# SPDX-License-Identifier: GPL-3.0-or-later
"""Every verdict on overlays, idmapped mounts, the database and the room that is left."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from mctld import store
from mctld.ids import Ids
from mctld.lifecycle.check import storage
from mctld.lifecycle.check.finding import Verdict
from mctld.lifecycle.check.host import Host, Room
from mctld.runtime.trial import Layers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mctld.spec import Spec

PLACE = "/var/lib/mctl"
GIB = 1 << 30


@pytest.mark.parametrize(
    ("tried", "idmap", "overlay"),
    [
        (Layers(), Verdict.OK, Verdict.OK),
        (Layers(idmap="Invalid argument", overlay="not mounted"), Verdict.MISSING, Verdict.MISSING),
        (Layers(overlay="No such device"), Verdict.OK, Verdict.MISSING),
        (None, Verdict.UNKNOWN, Verdict.UNKNOWN),
    ],
)
def test_layers(tried: Layers | None, idmap: Verdict, overlay: Verdict) -> None:
    first, second = storage.idmap(tried, PLACE, "nfs"), storage.overlay(tried, PLACE)
    assert (first.verdict, second.verdict) == (idmap, overlay)
    assert tried is None or tried.idmap in first.found
    assert tried is None or tried.overlay in second.found


@pytest.mark.parametrize(
    ("room", "verdict"),
    [
        (Room(GIB, 10 * GIB, 900, 1000), Verdict.OK),
        (Room(GIB, 10 * GIB), Verdict.OK),  # btrfs counts no files
        (Room(GIB, 10 * GIB, 10, 1000), Verdict.WARNING),
        (Room(1 << 20, 10 * GIB, 900, 1000), Verdict.WARNING),
        (None, Verdict.UNKNOWN),
    ],
)
def test_room(room: Room | None, verdict: Verdict) -> None:
    assert storage.room(room, PLACE).verdict is verdict


def test_room_is_told_in_units_for_people() -> None:
    assert str(Room(3 * GIB // 2, 1 << 41)) == "1.5 GiB free of 2.0 TiB"
    assert str(Room(512, 2048)) == "512 B free of 2.0 KiB"


def test_the_file_system_is_the_closest_above(tmp_path: Path) -> None:
    lines = ["1 0 8:1 / / rw - ext4 /dev/a rw", "2 1 8:2 / /var/lib rw shared:1 - xfs /dev/b rw",
             "3 1 8:3 / /var/lib/mct rw - btrfs /dev/c rw"]  # fmt: skip
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text("\n".join(lines))
    host = Host(str(tmp_path))
    assert storage.file_system(host, PLACE) == "xfs"
    assert storage.file_system(host, "/srv") == "ext4"
    assert storage.file_system(Host(str(tmp_path / "none")), PLACE) == "unknown"


def test_a_database_is_examined(tmp_path: Path, make_spec: Callable[..., Spec]) -> None:
    path = tmp_path / "state.db"
    opened = store.Store(str(path), Ids(0, 1, 200))
    for number in range(100):
        opened.add(identity=f"{number}", owner_uid=0, created_usec=0, spec=make_spec(name=f"c{number}"))
    assert ThreadPoolExecutor(1).submit(opened.examine).result() == ""
    opened.close()
    assert opened.examine() == "Cannot operate on a closed database."
    damaged = bytearray(path.read_bytes())
    damaged[-4096:-3000] = b"\xff" * 1096
    path.write_bytes(damaged)
    opened._database = sqlite3.connect(path)  # as if it had happened while it was open
    assert opened.examine() not in ("", "ok")
    opened.close()


def test_the_verdict_on_a_database() -> None:
    assert storage.database("/x", "").verdict is Verdict.OK
    broken = storage.database("/x", "file is not a database")
    assert (broken.verdict, broken.found) == (Verdict.MISSING, "/x: file is not a database")
