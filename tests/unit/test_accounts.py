# SPDX-License-Identifier: GPL-3.0-or-later
"""passwd(5) and group(5) of a root directory that somebody has prepared."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from mctld.kernel import files
from mctld.runtime import accounts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PASSWD = b"""\
#alice:x:7:7::/comment:/bin/sh
# a comment
+nis:x:5:5:::
root:x:0:0:root:/root:/bin/sh
alice:x:1000:1001:Alice:/home/alice:/bin/sh
alice:x:2:2:again:/other:/bin/sh
twin:x:1000:5::/twin:/bin/sh
nohome:x:1002:1002:::
relative:x:1003:1003::home:/bin/sh
short:x:1004:1004::/home
long:x:1005:1005::/home:/bin/sh:more
empty:x:::::
signed:x:+5:5::/:
hex:x:0x5:5::/:
padded:x: 6:6::/:
huge:x:4294967295:5::/:
endless:x:%s:5::/:
caf\xe9:x:1006:1006::/caf\xe9:
vertical\x0btab:x:1007:1007::/:
""" % (b"9" * 5000)
GROUP = b"""\
root:x:0:
#alice:x:7:alice
alice:x:1001:
audio:x:29:alice,root
video:x:44:root, alice
wheel:x:10:alice,
twice:x:29:alice
broken:x:alice
named:x:number:
"""


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What is opened below / is opened below another directory."""
    root = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    original: Callable[[int, str, int], int] = files.open_in_root
    monkeypatch.setattr(files, "open_in_root", lambda _, path, flags: original(root, path, flags))
    (tmp_path / "etc").mkdir()
    yield tmp_path / "etc"
    os.close(root)


@pytest.fixture
def image(etc: Path) -> Path:
    (etc / "passwd").write_bytes(PASSWD)
    (etc / "group").write_bytes(GROUP)
    return etc


@pytest.mark.parametrize(
    ("user", "group", "found"),
    [
        ("0", "", (0, 0, [29, 44])),
        ("0", "0", (0, 0, [])),
        ("root", "", (0, 0, [29, 44])),
        ("alice", "", (1000, 1001, [10, 29])),
        ("1000", "", (1000, 1001, [10, 29])),
        ("alice", "audio", (1000, 29, [])),
        ("alice", "5", (1000, 5, [])),
        ("4242", "", (4242, 0, [])),
        ("4242", "audio", (4242, 29, [])),
        ("4242", "4243", (4242, 4243, [])),
        ("5", "", (5, 0, [])),  # of a line that is NIS's
        ("7", "", (7, 0, [])),  # of a comment
        ("nohome", "", (1002, 1002, [])),
        ("caf\udce9", "", (1006, 1006, [])),
    ],
)
@pytest.mark.usefixtures("image")
def test_users(user: str, group: str, found: tuple[int, int, list[int]]) -> None:
    assert accounts.look_up(user, group) == found


@pytest.mark.parametrize(
    ("user", "group", "words"),
    [
        ("nobody", "", "user 'nobody' does not exist"),
        ("#alice", "", "does not exist"),
        ("short", "", "does not exist"),
        ("long", "", "does not exist"),
        ("tab", "", "does not exist"),
        ("alice", "nobodies", "group 'nobodies' does not exist"),
        ("alice", "broken", "does not exist"),
        ("alice", "named", "'number' is not an id"),
        ("empty", "", "'' is not an id"),
        ("signed", "", "is not an id"),
        ("hex", "", "is not an id"),
        ("padded", "", "' 6' is not an id"),
        ("huge", "", "'4294967295' is not an id"),
        ("endless", "", "'9{40}' is not an id"),
    ],
)
@pytest.mark.usefixtures("image")
def test_users_that_are_not(user: str, group: str, words: str) -> None:
    with pytest.raises(OSError, match=words):
        accounts.look_up(user, group)


@pytest.mark.parametrize(
    ("uid", "home"), [(0, "/root"), (1000, "/home/alice"), (1002, "/"), (1003, "/"), (4242, "/"), (1006, "/caf\udce9")]
)
@pytest.mark.usefixtures("image")
def test_homes(uid: int, home: str) -> None:
    assert accounts.home(uid) == home


@pytest.mark.usefixtures("etc")
def test_without_files_there_are_numbers() -> None:
    assert accounts.look_up("5", "6") == (5, 6, [])
    assert accounts.home(0) == "/"
    with pytest.raises(OSError, match="does not exist in the container"):
        accounts.look_up("root", "")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 30)


def out_of_root(path: Path) -> None:
    path.symlink_to("../../../../../../etc/hostname")


def through_a_descriptor(path: Path) -> None:
    path.symlink_to("/proc/self/fd/0")


def circle(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (fifo, "not a regular file"),
        (endless, "larger than 1048576 bytes"),
        (lambda path: path.mkdir(), "not a regular file"),
        (circle, "Too many levels"),
    ],
)
@pytest.mark.parametrize("name", ["passwd", "group"])
def test_files_that_mean_harm(image: Path, make: Callable[[Path], None], words: str, name: str) -> None:
    """CVE-2024-9676: an error, and neither a hang nor memory."""
    (image / name).unlink()
    make(image / name)
    with pytest.raises(OSError, match=words):
        accounts.look_up("alice" if name == "group" else "root", "")
    assert accounts.home(1000) == ("/" if name == "passwd" else "/home/alice")


@pytest.mark.parametrize("make", [out_of_root, through_a_descriptor])
def test_links_stay_inside(image: Path, make: Callable[[Path], None]) -> None:
    (image / "passwd").unlink()
    make(image / "passwd")
    with pytest.raises(OSError, match="does not exist in the container"):
        accounts.look_up("root", "")


def test_a_link_inside_is_followed(image: Path) -> None:
    (image.parent / "usr").mkdir()
    (image / "passwd").rename(image.parent / "usr/passwd")
    (image / "passwd").symlink_to("/usr/passwd")
    assert accounts.look_up("alice", "0") == (1000, 0, [])


@pytest.mark.skipif(os.geteuid() != 0, reason="making a device takes root")
def test_a_device_is_not_read(image: Path) -> None:
    (image / "passwd").unlink()
    os.mknod(image / "passwd", 0o20666, os.makedev(1, 5))
    with pytest.raises(OSError, match="not a regular file"):
        accounts.look_up("root", "")


def test_every_descriptor_is_closed(image: Path) -> None:
    (image / "group").unlink()
    fifo(image / "group")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError, match="not a regular file"):
        accounts.look_up("alice", "")
    assert os.listdir("/proc/self/fd") == before
