# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory that was authorized is the one that is opened."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mctld.errors import NoSuchRootfs
from mctld.runtime import rootfs
from mctld.spec import Rootfs

if TYPE_CHECKING:
    from pathlib import Path


def authorized(path: Path) -> Rootfs:
    found = path.stat()
    return Rootfs(str(path), found.st_dev, found.st_ino, None, rootfs.boot_id())


def test_the_same_directory_opens(tmp_path: Path) -> None:
    os.close(rootfs.open_lower(authorized(tmp_path)))


def test_a_device_number_counts_until_the_next_boot(tmp_path: Path) -> None:
    elsewhere = replace(authorized(tmp_path), device=12345)
    with pytest.raises(NoSuchRootfs, match="no longer the one"):
        rootfs.open_lower(elsewhere)
    os.close(rootfs.open_lower(replace(elsewhere, boot="of-last-week")))


def test_another_directory_of_that_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    wanted = authorized(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    with pytest.raises(NoSuchRootfs, match="cannot be opened: No such file"):
        rootfs.open_lower(wanted)
    (tmp_path / "a").mkdir()
    with pytest.raises(NoSuchRootfs, match="make the container anew"):
        rootfs.open_lower(wanted)
