# SPDX-License-Identifier: GPL-3.0-or-later
"""Where members of an archive go in a container, and what of a container becomes one; the confinement is not here."""

from __future__ import annotations

import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from mctld.copying.packing import Packing
from mctld.copying.placing import Placing
from mctld.copying.request import Request
from mctld.images.archive import Archive
from mctld.images.refusal import Refusal
from mctld.images.source import Source

if TYPE_CHECKING:
    from pathlib import Path

REQUEST = Request(inwards=True, path="/", stream=-1, program=-1, user_namespace=False)


def member(name: str, content: bytes | None = None, **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    """A file, or a directory where there is no content, or what `type` says."""
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
    info.mode, info.size = 0o755, len(content or b"")
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content or b""


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return made.getvalue()


def put(root: Path, path: str, data: bytes, **asked: object) -> int:
    opened = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        fields = {**{name: getattr(REQUEST, name) for name in Request.__slots__}, "path": path, **asked}
        placing, source = Placing(opened, Request(**fields)), Source([data])
        members = Archive(source, lambda _: None, end_required=True)
        begun = False
        for entry in members:
            if not begun:
                placing.begin(entry)
                begun = True
            placing.take(entry, source)
            members.skip_padding(entry)
        placing.close()
        return placing.left_out
    finally:
        os.close(opened)


def got(root: Path, path: str, *, follow: bool = False) -> tarfile.TarFile:
    opened, made = os.open(root, os.O_PATH | os.O_DIRECTORY), io.BytesIO()
    try:
        Packing(opened, made.write).run(path, follow=follow)
    finally:
        os.close(opened)
    made.seek(0)
    return tarfile.open(fileobj=made)


FILE = archive(member("f", b"content", mode=0o640))
TREE = archive(member("d", mode=0o750), member("d/f", b"content"), member("d/e"))
CONTENTS = archive(member("."), member("./f", b"content"))


@pytest.mark.parametrize(
    ("there", "path", "data", "found"),
    [  # the table of docker-cp(1)
        ("", "/new", FILE, "new"),
        ("old", "/old", FILE, "old"),
        ("dir/", "/dir", FILE, "dir/f"),
        ("dir/", "/dir/", FILE, "dir/f"),
        ("", "/new", TREE, "new/f"),
        ("", "/new/", TREE, "new/f"),
        ("dir/", "/dir", TREE, "dir/d/f"),
        ("dir/", "/dir", CONTENTS, "dir/f"),
        ("", "/new", CONTENTS, "new/f"),
        ("dir/", "/dir/../dir/./", FILE, "dir/f"),
        ("", "/", FILE, "f"),
    ],
)
def test_it_goes_where_cp_puts_it(tmp_path: Path, there: str, path: str, data: bytes, found: str) -> None:
    if there.endswith("/"):
        (tmp_path / there).mkdir()
    elif there:
        (tmp_path / there).write_bytes(b"a longer content")
    assert put(tmp_path, path, data) == 0
    assert (tmp_path / found).read_bytes() == b"content"
    assert not [name for _, _, names in os.walk(tmp_path) for name in names if name.startswith(".mctl")]


@pytest.mark.parametrize(
    ("there", "path", "data", "words"),
    [
        ("old", "/old", TREE, "a directory cannot be copied to it"),
        ("old", "/old", CONTENTS, "a directory cannot be copied to it"),
        ("old", "/old/", FILE, "is no directory"),
        ("old", "/old/new", FILE, "no directory '/old'"),
        ("", "/new/", FILE, "to a directory that is"),
        ("", "/no/new", FILE, "no directory '/no'"),
        ("f/", "/", FILE, "a file cannot take its place"),
        ("d", "/", TREE, "one cannot take its place"),
    ],
)
def test_what_cp_refuses(tmp_path: Path, there: str, path: str, data: bytes, words: str) -> None:
    if there.endswith("/"):
        (tmp_path / there).mkdir()
    elif there:
        (tmp_path / there).write_bytes(b"old")
    with pytest.raises(Refusal, match=words):
        put(tmp_path, path, data)
    assert not there or there.endswith("/") or (tmp_path / there).read_bytes() == b"old"


def test_a_name_can_be_given_for_what_goes_into_a_directory(tmp_path: Path) -> None:
    put(tmp_path, "/", TREE, name="other")
    assert (tmp_path / "other" / "f").exists()


def test_modes_are_the_archives_and_directories_that_are_there_stay(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir(mode=0o700)
    put(tmp_path, "/", TREE)
    put(tmp_path, "/new", FILE)
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "d" / "e").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640


def test_several_tops_need_a_directory(tmp_path: Path) -> None:
    data = archive(member("a", b"1"), member("b", b"2"))
    with pytest.raises(Refusal, match="several members at its top"):
        put(tmp_path, "/", data)
    put(tmp_path, "/", data, into=True)
    assert (tmp_path / "b").read_bytes() == b"2"
    with pytest.raises(Refusal, match="no directory"):
        put(tmp_path, "/new", data, into=True)


@pytest.mark.parametrize("link", ["/outside", "../../outside", "../outside"])
def test_a_link_leads_nowhere_but_inside(tmp_path: Path, link: str) -> None:
    """The path's own links are followed, as seen from the container's root."""
    root = tmp_path / "root"
    (root / "outside").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (root / "link").symlink_to(link)
    put(root, "/link", FILE)
    put(root, "/link/g", FILE)
    assert sorted(os.listdir(root / "outside")) == ["f", "g"]
    assert not os.listdir(tmp_path / "outside")


def test_a_link_at_the_end_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "link").symlink_to("/etc/new")
    put(tmp_path, "/link", FILE)
    assert (tmp_path / "etc" / "new").read_bytes() == b"content"
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("mischief", ["link to above", "link to root"])
def test_no_link_is_followed_below(tmp_path: Path, mischief: str) -> None:
    """Whether it was there before or comes with the archive itself."""
    root = tmp_path / "root"
    root.mkdir()
    target = "../.." if mischief == "link to above" else "/"
    data = archive(member("d"), member("d/l", b"", type=tarfile.SYMTYPE, linkname=target), member("d/l/f", b"evil"))
    with pytest.raises(Refusal, match="leads through a link"):
        put(root, "/", data)
    assert not (tmp_path / "f").exists()
    assert not (root / "f").exists()


@pytest.mark.parametrize("name", ["../f", "d/../../f", "/f"])
def test_no_member_climbs_out(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refusal, match=r"absolute|which may lead out"):
        put(tmp_path, "/", archive(member(name, b"evil")), into=True)


def test_devices_are_left_out_and_counted(tmp_path: Path) -> None:
    data = archive(member("d"), member("d/null", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=3))
    assert put(tmp_path, "/", data) == 1
    assert os.listdir(tmp_path / "d") == []


def test_a_file_that_is_cut_off_never_appears(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"old")
    with pytest.raises(Refusal, match="cut off"):
        put(tmp_path, "/", archive(member("f", bytes(100_000)))[:20_000])
    assert (tmp_path / "f").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


def test_hard_links_stay_links(tmp_path: Path) -> None:
    data = archive(member("d"), member("d/a", b"1"), member("d/b", b"", type=tarfile.LNKTYPE, linkname="d/a"))
    put(tmp_path, "/new", data)
    put(tmp_path, "/new", archive(member("."), member("./b", b"", type=tarfile.LNKTYPE, linkname="./a")))
    assert (tmp_path / "new" / "a").stat().st_nlink == 2
    assert sorted(os.listdir(tmp_path / "new")) == ["a", "b"]


def test_a_tree_comes_back(tmp_path: Path) -> None:
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "f").write_bytes(b"content")
    (tmp_path / "d" / "g").hardlink_to(tmp_path / "d" / "f")
    (tmp_path / "d" / "l").symlink_to("/etc/passwd")
    (tmp_path / "d" / ("n" * 200)).write_bytes(b"long")
    (tmp_path / "d" / os.fsdecode(b"\xff")).write_bytes(b"no text")
    with got(tmp_path, "/d") as tar:
        assert {m.name for m in tar} == {"d", "d/e", "d/f", "d/g", "d/l", f"d/{'n' * 200}", "d/\udcff"}
        assert tar.getmember("d/g").islnk()
        assert tar.getmember("d/l").linkname == "/etc/passwd"
        file = tar.extractfile("d/f")
        assert file is not None
        assert file.read() == b"content"


@pytest.mark.parametrize(
    ("path", "follow", "names"),
    [
        ("/link", False, ["link"]),
        ("/link", True, ["link", "link/f"]),
        ("/link/", False, ["link", "link/f"]),
        ("/link/.", False, [".", "./f"]),
        ("/d/f", False, ["f"]),
        ("/lf", True, ["lf"]),
        ("/d/../d", False, ["d", "d/f"]),
    ],
)
def test_what_a_path_means(tmp_path: Path, path: str, follow: bool, names: list[str]) -> None:  # noqa: FBT001
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"content")
    (tmp_path / "link").symlink_to("/d")
    (tmp_path / "lf").symlink_to("d/f")
    with got(tmp_path, path, follow=follow) as tar:
        assert tar.getnames() == names
        assert tar.getmembers()[0].issym() is (path == "/link" and not follow)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    for path in ("/no", "/no/f", "/no/.", "/no/"):
        with pytest.raises(Refusal, match="there is no"):
            got(tmp_path, path)


def test_holes_stay_holes(tmp_path: Path) -> None:
    """A terabyte of nothing must not become a terabyte, and what is read back must be the same."""
    with (tmp_path / "f").open("wb") as file:
        file.seek(1 << 20)
        file.write(b"in between")
        file.truncate(1 << 40)
    with got(tmp_path, "/f") as tar:
        info = tar.getmember("f")
        assert info.size == 1 << 40
        content = tar.extractfile(info)
        assert content is not None
        content.seek((1 << 20) - 2)
        assert content.read(14) == b"\0\0in between\0\0"
    opened, made = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY), io.BytesIO()
    Packing(opened, made.write).run("/f", follow=False)
    os.close(opened)
    assert len(made.getvalue()) < 1 << 20
    with pytest.raises(Refusal, match="the most is"):  # more than the service takes of one file
        put(tmp_path, "/g", made.getvalue())
    with (tmp_path / "f").open("r+b") as file:
        file.truncate(1 << 30)
    opened, made = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY), io.BytesIO()
    Packing(opened, made.write).run("/f", follow=False)
    os.close(opened)
    put(tmp_path, "/g", made.getvalue())
    assert (tmp_path / "g").stat().st_size == 1 << 30
    assert (tmp_path / "g").stat().st_blocks < 1 << 12


def test_a_fifo_is_not_opened(tmp_path: Path) -> None:
    """Whoever opens one waits for its other end."""
    os.mkfifo(tmp_path / "p")
    with got(tmp_path, "/p") as tar:
        assert tar.getmember("p").isfifo()
