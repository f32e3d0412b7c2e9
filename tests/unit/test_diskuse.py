# SPDX-License-Identifier: GPL-3.0-or-later
"""du(1) counts: in order, without what is not there, following nothing, and once at a time for each user."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mctld.errors import LimitsExceeded
from mctld.lifecycle.diskuse import DiskUse
from mctld.runtime import counting

MIB = 1 << 20


def filled(directory: Path, mib: int) -> str:
    directory.mkdir()
    (directory / "data").write_bytes(b"x" * mib * MIB)
    return str(directory)


def test_in_the_order_of_the_paths(tmp_path: Path) -> None:
    large, small = filled(tmp_path / "large", 3), filled(tmp_path / "sm\nall", 1)
    Path(small, "link").symlink_to(large)
    none = str(tmp_path / "none")
    found = asyncio.run(DiskUse().of([small, none, large], 1000))
    assert found[1] == 0
    assert MIB <= found[0] < 2 * MIB
    assert 3 * MIB <= found[2] < 4 * MIB
    assert asyncio.run(DiskUse().of([], 1000)) == []


def test_one_question_of_a_user_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "COMMAND", ("sleep", "1000"))

    async def ask() -> None:
        counter = DiskUse()
        first = asyncio.create_task(counter.of([str(tmp_path)], 1000))
        await asyncio.sleep(0)
        with pytest.raises(LimitsExceeded, match="for user 1000 already"):
            await counter.of([str(tmp_path)], 1000)
        other = asyncio.create_task(counter.of([str(tmp_path)], 1001))
        await asyncio.sleep(0.1)
        first.cancel()  # as when the caller leaves: sleep(1) is killed
        other.cancel()
        ended = await asyncio.gather(first, other, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in ended)
        monkeypatch.setattr(counting, "SECONDS", 0.1)
        with pytest.raises(LimitsExceeded, match="was given up"):
            await counter.of([str(tmp_path)], 1000)

    asyncio.run(ask())
