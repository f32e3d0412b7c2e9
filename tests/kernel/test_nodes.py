# SPDX-License-Identifier: GPL-3.0-or-later
"""Device nodes that come and go in somebody else's /dev, who has put there whatever they like."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mctld.device import Device
from mctld.kernel import constants as c
from mctld.kernel import mount, process
from mctld.runtime import plugging

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts and namespaces are made here")
OWNER = 4_000_000
NULL = Device("/dev/null", 1, 3, block=False, target="/dev/given/null")
ZERO = Device("/dev/zero", 1, 5, block=False, target="/dev/given/zero")


class Inside:
    """A process with a /dev of its own, as a start makes it, and what `prepare` has done there."""

    def __init__(self, prepare: Callable[[], object]) -> None:
        ready, tell = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                process.unshare(c.CLONE_NEWNS)
                subprocess.run(["mount", "--make-rprivate", "/"], check=True)
                mount.mount_at("tmpfs", "/dev", {"mode": "755", "uid": str(OWNER), "gid": str(OWNER)}, 0)
                prepare()
                os.write(tell, b".")
                signal.pause()
            finally:
                os._exit(1)
        os.close(tell)
        assert os.read(ready, 1) == b"."
        os.close(ready)
        self.first = os.pidfd_open(self.pid)
        self.dev = Path(f"/proc/{self.pid}/root/dev")

    def change(self, gone: Sequence[Device] = (), new: Sequence[Device] = ()) -> None:
        """With nothing left open."""
        nodes = []
        for device in new:
            held = os.open(device.path, os.O_PATH)
            nodes.append((device, mount.clone_tree(held)))
            os.close(held)
        try:
            taken = plugging.change(self.first, OWNER, gone, nodes)
        finally:
            for _, node in nodes:
                os.close(node)
        assert [device for device, _ in taken] == list(gone)
        for _, node in taken:
            os.close(node)

    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self.dev)) for path in self.dev.rglob("*"))

    def mounts(self) -> int:
        return sum(" /dev/" in line for line in Path(f"/proc/{self.pid}/mountinfo").read_text().splitlines())

    def close(self) -> None:
        os.close(self.first)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


@pytest.fixture
def begin() -> Iterator[Callable[..., Inside]]:
    begun: list[Inside] = []

    def make(prepare: Callable[[], object] = lambda: None) -> Inside:
        begun.append(Inside(prepare))
        return begun[-1]

    yield make
    for inside in begun:
        inside.close()


def test_they_come_change_and_go(begin: Callable[..., Inside]) -> None:
    inside = begin()
    before = inside.mounts()
    inside.change(new=[NULL, ZERO])
    assert (inside.dev / "given/zero").open("rb").read(2) == b"\0\0"
    made = (inside.dev / "given").stat()
    assert (made.st_uid, made.st_gid, made.st_mode & 0o7777) == (OWNER, OWNER, 0o755)
    inside.change(gone=[NULL])
    assert inside.names() == ["given", "given/zero"]
    inside.change(gone=[ZERO], new=[NULL])
    assert inside.names() == ["given", "given/null"]
    inside.change(gone=[NULL])
    assert inside.names() == []
    assert inside.mounts() == before
    assert not Path("/dev/given").exists()


def test_all_of_them_or_none(begin: Callable[..., Inside]) -> None:
    """The second cannot be shown: what was shown is gone again, and what was taken is back."""
    inside = begin(lambda: Path("/dev/taken").touch())
    inside.change(new=[NULL])
    before = inside.mounts()
    other = Device("/dev/full", 1, 7, block=False, target="/dev/taken")
    with pytest.raises(FileExistsError) as caught:
        inside.change(gone=[NULL], new=[ZERO, other])
    assert caught.value.filename == "/dev/taken"
    assert inside.names() == ["given", "given/null", "taken"]
    assert (inside.dev / "given/null").is_char_device()
    assert inside.mounts() == before


def test_no_link_is_followed(begin: Callable[..., Inside], tmp_path: Path) -> None:
    inside = begin(lambda: Path("/dev/given").symlink_to(tmp_path))
    with pytest.raises(OSError, match="symbolic links"):
        inside.change(new=[NULL])
    assert list(tmp_path.iterdir()) == []


def test_no_other_mount_is_entered(begin: Callable[..., Inside], tmp_path: Path) -> None:
    """A directory of the host's that was given as a volume, say."""

    def prepare() -> None:
        os.mkdir("/dev/given")
        subprocess.run(["mount", "--bind", str(tmp_path), "/dev/given"], check=True)

    tmp_path.chmod(0o777)
    inside = begin(prepare)
    with pytest.raises(OSError, match="cross-device"):
        inside.change(new=[NULL])
    assert list(tmp_path.iterdir()) == []


def test_another_dev_is_left_alone(begin: Callable[..., Inside], tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    inside = begin(lambda: subprocess.run(["mount", "--bind", str(tmp_path), "/dev"], check=True))
    with pytest.raises(OSError, match="mounted something else"):
        inside.change(new=[NULL])
    assert list(tmp_path.iterdir()) == []


def test_what_somebody_else_has_mounted_there_stays(begin: Callable[..., Inside], tmp_path: Path) -> None:
    def prepare() -> None:
        os.mkdir("/dev/given")
        Path("/dev/given/null").touch()
        os.chown("/dev/given", OWNER, OWNER)
        (tmp_path / "file").touch()
        subprocess.run(["mount", "--bind", str(tmp_path / "file"), "/dev/given/null"], check=True)

    inside = begin(prepare)
    before = inside.mounts()
    with contextlib.suppress(OSError):
        assert plugging.change(inside.first, OWNER, [NULL], []) == []
    assert inside.mounts() == before
