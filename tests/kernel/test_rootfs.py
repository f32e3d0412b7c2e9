# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory that was authorized is the one that is opened."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mctld.errors import NoSuchRootfs
from mctld.kernel import mount
from mctld.runtime import rootfs
from mctld.spec import Rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
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


@pytest.mark.parametrize("link", ["a", "a/b"])
def test_a_link_that_came_later_is_not_followed(tmp_path: Path, link: str) -> None:
    """Whoever owns a directory above could lead a container elsewhere, and after a boot no device number tells."""
    (tmp_path / "a/b").mkdir(parents=True)
    wanted = replace(authorized(tmp_path / "a/b"), boot="of-last-week")
    (tmp_path / link).rename(tmp_path / "elsewhere")
    (tmp_path / link).symlink_to(tmp_path / "elsewhere")
    assert (tmp_path / "a/b").stat().st_ino == wanted.inode
    with pytest.raises(NoSuchRootfs, match="make the container anew"):
        rootfs.open_lower(wanted)


root_only = pytest.mark.skipif(os.geteuid() != 0, reason="mounts: needs root")


@pytest.fixture
def staging(tmp_path: Path) -> Iterator[rootfs.Staging]:
    made = rootfs.Staging(str(tmp_path / "staging"))
    yield made
    made.close()


def layers_of(directory: Path, count: int) -> list[int]:
    """The topmost first, each with a file of its own, and all with one."""
    made = []
    for number in range(count):
        layer = directory / f"layer, {number}:a\\b"  # what would need quoting
        layer.mkdir()
        (layer / f"file{number}").touch()
        (layer / "all").write_text(str(number))
        opened = os.open(layer, os.O_PATH)
        made.append(rootfs.lower_mount(opened, None))
        os.close(opened)
    return made


def close_all(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def container_of(directory: Path) -> Path:
    made = directory / "container"
    opened = os.open(directory, os.O_PATH)
    rootfs.make_layers(str(made), opened, 0, owned=False)
    os.close(opened)
    return made


@root_only
@pytest.mark.parametrize("volatile", [False, True])
@pytest.mark.parametrize("count", [1, 2, 20, 128])
def test_an_overlay_of_many_layers(staging: rootfs.Staging, tmp_path: Path, count: int, *, volatile: bool) -> None:
    """fsconfig(2) for few, mount(2) for many: a detached mount either way, and nothing of it is seen elsewhere."""
    before = mounts_of(staging)
    lowers, container = layers_of(tmp_path, count), container_of(tmp_path)
    descriptors = open_descriptors()
    overlay = staging.overlay(lowers, str(container), volatile=volatile)
    assert open_descriptors() == descriptors + 1
    assert sorted(os.listdir(f"/proc/self/fd/{overlay}")) == sorted(["all", *(f"file{n}" for n in range(count))])
    assert read(overlay, "all") == "0"
    write(overlay, "all", "changed")
    assert (container / "upper/all").read_text() == "changed"
    assert [(tmp_path / f"layer, {n}:a\\b/all").read_text() for n in (0, count - 1)] == ["0", str(count - 1)]
    close_all([overlay, *lowers])
    assert mounts_of(staging) == before


@root_only
def test_too_many_layers_leave_nothing(staging: rootfs.Staging, tmp_path: Path) -> None:
    """mount(2) would cut the last ones off."""
    lowers, container = layers_of(tmp_path, 300), container_of(tmp_path)
    descriptors = open_descriptors()
    with pytest.raises(OSError, match="Argument list too long"):
        staging.overlay(lowers, str(container), volatile=False)
    assert open_descriptors() == descriptors
    close_all(lowers)


@root_only
def test_a_volatile_overlay_can_be_made_again(staging: rootfs.Staging, tmp_path: Path) -> None:
    """After a start that failed; what was written meanwhile is there."""
    container = container_of(tmp_path)
    for number, before in enumerate(("", "0")):
        (tmp_path / str(number)).mkdir()
        lowers = layers_of(tmp_path / str(number), 1)
        overlay = staging.overlay(lowers, str(container), volatile=True)
        assert not before or read(overlay, "written") == before
        write(overlay, "written", str(number))
        close_all([overlay, *lowers])


@root_only
def test_what_an_overlay_tells_of_the_host(staging: rootfs.Staging, tmp_path: Path) -> None:
    lowers, container = layers_of(tmp_path, 2), container_of(tmp_path)
    overlay = staging.overlay(lowers, str(container), volatile=False)
    (tmp_path / "place").mkdir()
    mount.attach_at(overlay, str(tmp_path / "place"))
    try:
        with open("/proc/self/mountinfo") as file:
            line = next(line for line in file if str(tmp_path / "place") in line)
    finally:
        mount.umount(str(tmp_path / "place"), 2)
    close_all([overlay, *lowers])
    options = line.rpartition(" ")[2]
    assert "/container" not in options
    assert "layer" not in options.replace("lowerdir", "")
    assert "upperdir=upper,workdir=work" in options


def mounts_of(staging: rootfs.Staging) -> tuple[int, int]:
    """In its own mount namespace, and in ours."""

    def count() -> int:
        with open("/proc/thread-self/mountinfo") as file:
            return len(file.readlines())

    return staging._threads.submit(count).result(), count()


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def read(directory: int, name: str) -> str:
    with open(f"/proc/self/fd/{directory}/{name}") as file:
        return file.read()


def write(directory: int, name: str, text: str) -> None:
    with open(f"/proc/self/fd/{directory}/{name}", "w") as file:
        file.write(text)
