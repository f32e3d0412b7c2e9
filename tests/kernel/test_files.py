# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths inside a root lead nowhere else. Needs no root."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from mctld.kernel import files
from mctld.runtime import programs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    inside = tmp_path / "root"
    (inside / "etc").mkdir(parents=True)
    (inside / "etc" / "hosts").write_text("inside")
    (tmp_path / "secret").write_text("outside")
    (inside / "up").symlink_to("../../secret")
    (inside / "absolute").symlink_to("/etc/hosts")
    (inside / "magic").symlink_to("/proc/self/cwd")
    descriptor = os.open(inside, os.O_PATH | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def read(root: int, path: str) -> str:
    with os.fdopen(files.open_in_root(root, path, os.O_RDONLY)) as file:
        return file.read()


@pytest.mark.parametrize("path", ["/etc/hosts", "etc/hosts", "../../etc/hosts", "/absolute"])
def test_every_path_stays_inside(root: int, path: str) -> None:
    assert read(root, path) == "inside"


@pytest.mark.parametrize("path", ["/up", "../secret", "/etc/../../secret"])
def test_nothing_outside_is_found(root: int, path: str) -> None:
    with pytest.raises(FileNotFoundError):
        read(root, path)


def test_a_plain_path_has_no_symlink(root: int) -> None:
    os.close(files.open_plain(root, "/etc", os.O_PATH))
    with pytest.raises(OSError, match="openat2") as caught:
        files.open_plain(root, "/absolute", os.O_PATH)
    assert caught.value.errno == errno.ELOOP
    assert caught.value.filename == "/absolute"


def test_a_program_is_never_found_through_a_magic_link() -> None:
    """CVE-2019-5736: /proc/self/exe is the host's Python."""
    with pytest.raises(OSError, match="openat2") as caught:
        programs.find("/proc/self/exe", "")
    assert caught.value.errno == errno.ELOOP


def test_a_program_is_looked_up_in_the_path() -> None:
    assert programs.find("sh", "/nowhere:/bin") == "/bin/sh"
    with pytest.raises(FileNotFoundError):
        programs.find("no-such-program", "/bin:/usr/bin")
    with pytest.raises(PermissionError):
        programs.find("/etc/passwd", "")
