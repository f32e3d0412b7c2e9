# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of an archive from a container here: it may be hostile, and the destination is the caller's home."""

from __future__ import annotations

import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from mctl.commands.cp import Unpacking, split
from mctl.failures import Failure, UsageError
from mctl.receiving import Receiving, Stream
from mctl.sending import packed
from unit.test_copying import archive, member

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from unit.cli.conftest import Result

FILE = archive(member("f", b"content", mode=0o640))
TREE = archive(member("d"), member("d/f", b"content"))
CONTENTS = archive(member("."), member("./f", b"content"))
DIRECTORY_LINK = member("d/l", b"", type=tarfile.SYMTYPE, linkname="/")


def receive(destination: Path | str, data: bytes, *, keep: bool = False) -> Receiving:
    receiving = Receiving(str(destination), keep=keep)
    receiving.take(io.BytesIO(data))
    return receiving


@pytest.mark.parametrize(
    ("there", "destination", "data", "found"),
    [
        ("", "new", FILE, "new"),
        ("old", "old", FILE, "old"),
        ("dir/", "dir", FILE, "dir/f"),
        ("", "new", TREE, "new/f"),
        ("", "new/", TREE, "new/f"),
        ("dir/", "dir", TREE, "dir/d/f"),
        ("dir/", "dir", CONTENTS, "dir/f"),
        ("", "new", CONTENTS, "new/f"),
    ],
)
def test_it_goes_where_cp_puts_it(tmp_path: Path, there: str, destination: str, data: bytes, found: str) -> None:
    if there.endswith("/"):
        (tmp_path / there).mkdir()
    elif there:
        (tmp_path / there).write_bytes(b"a longer content")
    receive(f"{tmp_path}/{destination}", data)
    assert (tmp_path / found).read_bytes() == b"content"


@pytest.mark.parametrize(
    ("destination", "data", "words"),
    [
        ("old", TREE, "one cannot be copied to it"),
        ("new/", FILE, "there is no directory"),
        ("no/new", FILE, "there is no directory"),
        ("dir", archive(member("sub", b"x")), "a file cannot take its place"),
    ],
)
def test_what_cp_refuses(tmp_path: Path, destination: str, data: bytes, words: str) -> None:
    (tmp_path / "old").write_bytes(b"old")
    (tmp_path / "dir" / "sub").mkdir(parents=True)
    with pytest.raises(Failure, match=words):
        receive(f"{tmp_path}/{destination}", data)
    assert (tmp_path / "old").read_bytes() == b"old"


def test_no_device_is_replaced() -> None:
    """As root this would take /dev/null from everybody."""
    with pytest.raises(Failure, match="neither a directory nor a plain file"):
        receive("/dev/null", FILE)


@pytest.mark.parametrize(
    "members",
    [
        [member("../f", b"evil")],
        [member("d"), member("d/../../f", b"evil")],
        [member("d"), DIRECTORY_LINK, member("d/l/f", b"evil")],
        [member("d"), member("d/l", b"", type=tarfile.SYMTYPE, linkname=".."), member("d/l/f", b"evil")],
        [member("d"), member("d/l", b"", type=tarfile.LNKTYPE, linkname="../secret")],
        [member("d"), member("d/l", b"", type=tarfile.LNKTYPE, linkname="d/secret")],
        [member("d"), member("other/f", b"evil")],
    ],
)
def test_nothing_leads_out(tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    """Neither a name nor a link that came before it, nor a hard link to what was there."""
    (tmp_path / "secret").write_bytes(b"secret")
    home = tmp_path / "home"
    (home / "d").mkdir(parents=True)
    (home / "d" / "secret").write_bytes(b"secret")
    with pytest.raises(Failure, match=r"leads out|no directory|does not have|several"):
        receive(home, archive(*members))
    assert sorted(os.listdir(tmp_path)) == ["home", "secret"]
    assert (tmp_path / "secret").stat().st_nlink == (home / "d" / "secret").stat().st_nlink == 1
    assert not [name for _, _, names in os.walk(tmp_path) for name in names if name.startswith((".mctl", "f"))]


def test_a_link_that_is_there_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "d").symlink_to("/etc")
    with pytest.raises(Failure, match="no directory"):
        receive(tmp_path, TREE)
    (tmp_path / "f").symlink_to("outside")
    receive(tmp_path, FILE)
    assert not (tmp_path / "f").is_symlink()
    assert not (tmp_path / "outside").exists()


def test_links_come_as_links_wherever_they_lead(tmp_path: Path) -> None:
    receive(tmp_path, archive(member("d"), DIRECTORY_LINK))
    assert os.readlink(tmp_path / "d" / "l") == "/"


@pytest.mark.parametrize("keep", [False, True])
def test_set_user_id_does_not_come_out(tmp_path: Path, keep: bool) -> None:  # noqa: FBT001
    receive(tmp_path, archive(member("f", b"evil", mode=0o6755)), keep=keep)
    assert (tmp_path / "f").stat().st_mode & 0o7000 == 0


def test_modes_are_the_archives_as_far_as_the_umask_goes(tmp_path: Path) -> None:
    data = archive(member("f", b"", mode=0o666))
    before = os.umask(0o027)
    try:
        receive(tmp_path / "a", data)
        receive(tmp_path / "b", data, keep=True)
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in "ab"] == [0o640, 0o666]


def test_devices_are_left_out(tmp_path: Path) -> None:
    data = archive(member("d"), member("d/null", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=3))
    assert receive(tmp_path, data).left_out == 1
    assert os.listdir(tmp_path / "d") == []


def test_what_is_cut_off_never_appears(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"damaged|cut off"):
        receive(tmp_path, archive(member("f", bytes(100_000)))[:20_000])
    assert os.listdir(tmp_path) == []


def test_a_time_that_nobody_can_have_keeps_no_file(tmp_path: Path) -> None:
    """touch -d @9223372036854775807 makes one, on a tmpfs, which to a float is more than that."""
    receive(tmp_path, archive(member("d"), member("d/f", b"content", mtime=2.0**64)))
    assert (tmp_path / "d/f").read_bytes() == b"content"


def test_an_id_that_nobody_can_have_is_told(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="the archive is damaged: uid is"):
        receive(tmp_path, archive(member("f", b"content", uid=2**40)), keep=True)


def test_whatever_goes_wrong_here_the_service_has_no_reader_to_wait_for() -> None:
    class Broken(Receiving):
        def take(self, stream: Stream) -> None:
            raise ZeroDivisionError

    reading, writing = os.pipe()
    with pytest.raises(ZeroDivisionError):
        Unpacking(Broken(".", keep=False), reading).run()
    with pytest.raises(BrokenPipeError):
        os.write(writing, b"x")
    os.close(writing)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("web:/etc", ("web", "/etc")),
        ("web:etc", ("web", "etc")),
        ("web:", ("web", "/")),
        ("web:/a:b", ("web", "/a:b")),
        ("./a:b", None),
        ("/a:b", None),
        ("a/b:c", None),
        ("-", None),
        (":x", None),
    ],
)
def test_which_side_is_the_container(text: str, found: tuple[str, str] | None) -> None:
    assert split(text) == found


def listed(source: str, *, follow: bool = False) -> tuple[str, list[str]]:
    """What its top is to be called, and what is in the archive."""
    packing, name = packed(source, keep=False, follow=follow)
    with os.fdopen(os.dup(packing.given), "rb") as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        found = [info.name for info in tar]
        while stream.read(1 << 16):
            pass
    packing.close()
    assert packing.complaint() == ""
    return name, found


def test_what_of_here_is_packed_and_how_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "-f[x]*").write_bytes(b"")
    (tmp_path / "l").symlink_to("d")
    assert listed(f"{tmp_path}/d") == ("d", ["./d", "./d/-f[x]*"])
    assert listed(f"{tmp_path}/d/") == ("d", ["./d", "./d/-f[x]*"])
    assert listed(f"{tmp_path}/d/.") == ("", [".", "./-f[x]*"])
    assert listed(f"{tmp_path}/l") == ("l", ["./l"])
    assert listed(f"{tmp_path}/l", follow=True) == ("l", ["./d", "./d/-f[x]*"])
    assert listed(f"{tmp_path}/d/..")[0] == tmp_path.name
    assert listed(f"{tmp_path}/d/-f[x]*") == ("-f[x]*", ["./-f[x]*"])
    for nothing in (f"{tmp_path}/no", f"{tmp_path}/d/-f[x]*/"):
        with pytest.raises(UsageError):
            packed(nothing, keep=False, follow=False)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("a",), "two things are needed"),
        (("a", "b"), "no container was named"),
        (("a:/x", "b:/y"), "one of the two must be here"),
        (("no-such-file", "web:/"), "there is no 'no-such-file' here"),
    ],
)
def test_usage(mctl: Callable[..., Result], words: tuple[str, ...], sentence: str) -> None:
    done = mctl("cp", *words)
    assert done.returncode == 125
    assert sentence.encode() in done.stderr
