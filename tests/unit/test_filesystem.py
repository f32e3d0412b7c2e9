# SPDX-License-Identifier: GPL-3.0-or-later
"""The file system behind a descriptor, read off mountinfo, proc(5)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from mctld.kernel import filesystem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HERE, ELSEWHERE = 77, 78
OTHER = "25 1 0:5 / /dev rw,nosuid shared:2 - devtmpfs udev rw"


@pytest.fixture
def fd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    opened = os.open(tmp_path, os.O_PATH)
    monkeypatch.setattr(filesystem, "_mount_id", lambda _: str(HERE))
    yield opened
    os.close(opened)
    filesystem._seen.cache_clear()  # what these lists say of a mount is true for nobody else


def kind(fd: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *lines: str) -> str | None:
    (tmp_path / "mountinfo").write_bytes("".join(f"{line}\n" for line in lines).encode())
    monkeypatch.setattr(filesystem, "_MOUNTS", str(tmp_path / "mountinfo"))
    filesystem._seen.cache_clear()
    return filesystem.kind(fd)


def line(identity: int, number: str, type_: str, place: str = "/mnt", source: str = "none") -> str:
    return f"{identity} 1 {number} / {place} rw,relatime shared:1 - {type_} {source} rw"


def number_of(fd: int) -> str:
    found = os.fstat(fd).st_dev
    return f"{os.major(found)}:{os.minor(found)}"


def test_a_mount_is_known_by_its_number(fd: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole: 77 is neither 177 nor 770."""
    others = [line(170 + HERE, "8:1", "xfs"), line(10 * HERE, "8:2", "btrfs"), OTHER]
    found = kind(fd, tmp_path, monkeypatch, *others, line(HERE, "0:60", "fuse.sshfs"), line(79, number_of(fd), "ext4"))
    assert found == "fuse.sshfs"
    assert kind(fd, tmp_path, monkeypatch, line(HERE, "0:60", "fuse")) == "fuse"  # as the first line


def test_the_list_is_read_once_for_a_mount(fd: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be long, and a start asks of the same descriptor three times."""
    if not filesystem._status(fd)[2]:
        pytest.skip("this kernel has no number for a mount that is its alone (Linux 6.8)")
    assert kind(fd, tmp_path, monkeypatch, line(HERE, "0:60", "xfs")) == "xfs"
    (tmp_path / "mountinfo").write_text(line(HERE, "0:61", "fuse") + "\n")
    again = os.open(tmp_path / "mountinfo", os.O_RDONLY)
    other = os.open("/proc/self", os.O_RDONLY)
    assert [filesystem.kind(each) for each in (fd, again, other)] == ["xfs", "xfs", "fuse"]
    os.close(again)
    os.close(other)


def test_one_of_another_namespace_by_its_superblocks(fd: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    number = number_of(fd)
    assert kind(fd, tmp_path, monkeypatch, OTHER, line(ELSEWHERE, number, "ext4"), OTHER) == "ext4"
    assert kind(fd, tmp_path, monkeypatch, OTHER, line(ELSEWHERE, "0:60", "ext4", source=number)) is None
    assert kind(fd, tmp_path, monkeypatch, OTHER) is None


@pytest.mark.parametrize("place", [f"/x\r{HERE}", f"/x\v{HERE}", f"/x\u2028{HERE}", f"/x\\012{HERE}"])
def test_no_name_makes_a_line(fd: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """The kernel escapes of a path blanks, newlines and backslashes only."""
    lines = [line(ELSEWHERE, "0:61", "ext4", place), line(HERE, "0:60", "fuse")]
    assert kind(fd, tmp_path, monkeypatch, *lines) == "fuse"
