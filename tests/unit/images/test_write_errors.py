# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk's failure to write is told once to each who had the file system open before it (errseq_t of the kernel's): so
the descriptor of a syncfs(2) is open before the first byte is written, whoever else says sync meanwhile.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from mctld.errors import StoreFailed
from mctld.runtime import volumes

from .test_variants import ALICE, BASE, PUBLIC, Shop, shop

if TYPE_CHECKING:
    from pathlib import Path

    from mctld.images.unpacking import Unpacked

F_SETSIG, F_GETSIG = 10, 11  # fcntl(2), of what is open and not of its number
__all__ = ["shop"]


class Disk:
    """Fails once, and another one's sync hears of it: only who has it open by then will be told too."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place = str(place)
        self.mended = False
        monkeypatch.setattr("mctld.kernel.files.sync_filesystem", self.sync)

    def fail(self) -> None:
        if self.mended:
            return
        for number in map(int, os.listdir("/proc/self/fd")):
            try:
                if os.readlink(f"/proc/self/fd/{number}").startswith(self.place):
                    fcntl.fcntl(number, F_SETSIG, signal.SIGURG)
            except OSError:
                continue

    def sync(self, descriptor: int) -> None:
        if fcntl.fcntl(descriptor, F_GETSIG) == signal.SIGURG:
            self.mended = True
            raise OSError(5, os.strerror(5))


@pytest.fixture
def failing(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Each time a layer is unpacked, until it has been told of."""
    disk = Disk(tmp_path, monkeypatch)
    unpack = shop.images.unpack

    async def unpack_and_fail(made: str, opened: int, *, end_required: bool) -> Unpacked:
        found = await unpack(made, opened, end_required=end_required)
        disk.fail()
        return found

    monkeypatch.setattr(shop.images, "unpack", unpack_and_fail)
    return shop


def test_nothing_of_an_image_is_there_that_a_disk_has_lost(failing: Shop) -> None:
    with pytest.raises(StoreFailed, match="Input/output error"):
        failing.load(ALICE, "lost", BASE, PUBLIC)
    assert (failing.images.all(), failing.layers.present()) == ((), set())
    again = failing.load(ALICE, "kept", BASE, PUBLIC)  # what was told of is over
    assert failing.images.all() == (again,)


def test_nor_of_an_archive(failing: Shop) -> None:
    async def bring_in() -> None:
        opened = os.memfd_create("archive")
        try:
            os.pwrite(opened, BASE, 0)
            await failing.images.bring_in(opened, ALICE, [], configured, shared=False)
        finally:
            os.close(opened)

    def configured(digest: str) -> str:
        return json.dumps({"rootfs": {"type": "layers", "diff_ids": [digest]}})

    with pytest.raises(StoreFailed, match="Input/output error"):
        asyncio.run(bring_in())
    assert (failing.images.all(), failing.layers.present()) == ((), set())


def test_nor_of_what_fills_a_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(tmp_path, monkeypatch)
    data, root = tmp_path / "data", tmp_path / "root"
    data.mkdir()
    (root / "seed").mkdir(parents=True)
    monkeypatch.setattr(volumes, "mounted", lambda opened, *_given, **_named: os.dup(opened))
    monkeypatch.setattr(volumes, "_copy", lambda *_given: disk.fail())
    opened = os.open(root, os.O_PATH)
    try:
        with pytest.raises(OSError, match="Input/output error"):
            volumes.fill(str(data), opened, "/seed", None)
    finally:
        os.close(opened)
