# SPDX-License-Identifier: GPL-3.0-or-later
"""What layers show together, and what one of them changes, as archives that our own reader and Python's take."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from typing import TYPE_CHECKING

import pytest

from mctld.images.content import Content
from mctld.images.merge import Layer, Merge
from mctld.images.packer import Packer
from mctld.images.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from unit.images.conftest import Bench

root = pytest.mark.skipif(os.geteuid() != 0, reason="whiteouts and trusted.* take root")


@pytest.fixture
def merge(tmp_path: Path) -> Iterator[Callable[..., Merge]]:
    """Of directories below tmp_path, the topmost first."""
    opened: list[int] = []

    def made(*names: str, whiteouts: bool = False, shift: int = 0) -> Merge:
        found = [os.open(tmp_path / name, os.O_PATH | os.O_DIRECTORY) for name in names]
        opened.extend(found)
        return Merge([Layer(each, shift) for each in found], whiteouts=whiteouts)

    yield made
    for each in opened:
        os.close(each)


def packed(merge: Merge, **given: object) -> bytes:
    out = io.BytesIO()
    Content(merge, Packer(out.write), **given).put_all()  # type: ignore[arg-type]
    return out.getvalue()


def names(archive: bytes) -> list[str]:
    return [member.name for member in tarfile.open(fileobj=io.BytesIO(archive))]


def tree(place: Path, **contents: str) -> Path:
    for name, text in contents.items():
        path = place / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return place


def whiteout(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mknod(path, stat.S_IFCHR, 0)


@root
def test_what_layers_show_together(tmp_path: Path, merge: Callable[..., Merge]) -> None:
    tree(tmp_path / "low", a="low", d__x="low", d__y="low", gone__z="low", o__hidden="low", f__deep="low")
    top = tree(tmp_path / "top", a="top", d__y="top", o__new="top", f="a file in a directory's place")
    whiteout(top / "gone")
    os.setxattr(top / "o", "trusted.overlay.opaque", b"y")
    with tarfile.open(fileobj=io.BytesIO(packed(merge("top", "low")))) as archive:
        found = {m.name: archive.extractfile(m).read().decode() if m.isfile() else "" for m in archive}  # type: ignore[union-attr]
    assert found == {
        ".": "", "a": "top", "f": "a file in a directory's place", "d": "", "d/x": "low", "d/y": "top", "o": "",
        "o/new": "top",
    }  # fmt: skip


@root
def test_what_a_middle_layer_has_hidden_stays_hidden(tmp_path: Path, merge: Callable[..., Merge]) -> None:
    tree(tmp_path / "low", d__old="low", e__old="low")
    whiteout(tree(tmp_path / "middle", e="a file") / "d")
    tree(tmp_path / "top", d__new="top", e__new="top")
    assert names(packed(merge("top", "middle", "low"))) == [".", "e", "e/new", "d", "d/new"]


@root
def test_what_one_layer_changes(tmp_path: Path, merge: Callable[..., Merge], bench: Bench) -> None:
    """Whiteouts, an opaque directory, links, a hole, a capability of the container's own root, ids that begin at 0."""
    top = tree(tmp_path / "place" / "top", kept="x" * 700, o__new="y", etc__hosts="")
    whiteout(top / "gone")
    os.setxattr(top / "o", "trusted.overlay.opaque", b"y")
    os.link(top / "kept", top / "same")
    (top / "to").symlink_to("/kept")
    os.mkfifo(top / "fifo", 0o622)
    with (top / "holes").open("wb") as file:
        file.truncate(9 << 20)
        file.seek(5 << 20)
        file.write(b"island")
    capability = bytes.fromhex("0100000300040000000000000000000000000000") + (300_000).to_bytes(4, "little")
    os.setxattr(top / "holes", "security.capability", capability)
    os.setxattr(top / "kept", "user.note", b"\x00\xff")
    for path in [top, *top.rglob("*")]:
        os.chown(path, 300_005, 300_006, follow_symlinks=False)
    os.chown(top / "o" / "new", 7, 400_000)
    os.setxattr(top / "holes", "security.capability", capability)  # chown(2) takes it away
    archive = packed(merge("place/top", whiteouts=True, shift=300_000), left_out={(b"etc", b"hosts")})
    assert len(archive) < 64 << 10
    made = bench.unpack(archive)
    assert (made.opaque, made.has_root) == (("o",), True)
    assert bench.names() == ["etc", "fifo", "gone", "holes", "kept", "o", "o/new", "same", "to"]
    there = {name: (bench.tree / name).lstat() for name in bench.names()}
    assert there["gone"].st_mode & stat.S_IFCHR
    assert there["kept"].st_ino == there["same"].st_ino
    assert [(there[n].st_uid, there[n].st_gid) for n in ("kept", "o/new")] == [(5, 6), (65_534, 65_534)]
    holes = bench.tree / "holes"
    assert (there["holes"].st_size, there["holes"].st_blocks < 100) == (9 << 20, True)
    assert holes.read_bytes().strip(b"\0") == b"island"
    assert os.getxattr(holes, "security.capability").hex() == "0100000200040000000000000000000000000000"
    assert os.getxattr(bench.tree / "kept", "user.note") == b"\x00\xff"
    (bench.place / "top" / "gone").unlink()
    for path in sorted(top.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    top.rmdir()


def test_names_that_no_header_holds(tmp_path: Path, merge: Callable[..., Merge], bench: Bench) -> None:
    long = "/".join(["d" * 200] * 3)
    source = tmp_path / "place" / "tree"
    path = source / long / "ü"
    path.parent.mkdir(parents=True)
    path.write_text("here")
    (source / "link").symlink_to("t" * 300)
    os.close(os.open(os.fsencode(source) + b"/\xff", os.O_CREAT))
    os.utime(source / "link", ns=(-5_000_000_000, -5_000_000_000), follow_symlinks=False)
    archive = packed(merge("place/tree"))
    for child in source.iterdir():
        child.rename(tmp_path / "place" / "replaced" / child.name)
    bench.unpack(archive)
    assert (bench.tree / long / "ü").read_text() == "here"
    assert os.readlink(bench.tree / "link") == "t" * 300
    assert (bench.tree / "link").lstat().st_mtime == -5
    assert os.path.exists(os.fsencode(bench.tree) + b"/\xff")


@pytest.mark.parametrize(("path", "leads", "there"), [
    (b"/", b"", True),
    (b"/bin/sh", b"usr/bin/sh", True),
    (b"/bin/new/er", b"usr/bin/new/er", False),
    (b"/usr/../bin", b"usr/bin", True),
    (b"/none/./x/../y", b"none/y", False),
    (b"/../../etc", b"etc", False),
    (b"/up/sh", b"usr/bin/sh", True),
    (b"/outside/canary", b"canary", False),
    (b"/bin/sh/x", b"usr/bin/sh/x", False),
])  # fmt: skip
def test_where_a_path_leads(
    tmp_path: Path, merge: Callable[..., Merge], path: bytes, leads: bytes, there: bool,  # noqa: FBT001
) -> None:  # fmt: skip
    low, top = tree(tmp_path / "low", usr__bin__sh="#!"), tmp_path / "top"
    (low / "bin").symlink_to("usr/bin")
    (tree(top, usr__lib__x="") / "up").symlink_to("../../../bin")
    (top / "outside").symlink_to("../../..")
    found, node = merge("top", "low").resolve(path)
    assert (b"/".join(found), node is not None) == (leads, there)


def test_links_that_lead_in_circles(tmp_path: Path, merge: Callable[..., Merge]) -> None:
    (tree(tmp_path / "low", x="") / "a").symlink_to("b")
    (tmp_path / "low" / "b").symlink_to("a")
    with pytest.raises(Refusal, match="more than 40 symbolic links"):
        merge("low").resolve(b"/a")


def test_links_that_lead_far(tmp_path: Path, merge: Callable[..., Merge]) -> None:
    """Each name is looked up in every layer: an image must not say for how long."""
    (tmp_path / "low" / "d").mkdir(parents=True)
    there_and_back = "d/../" * 800  # PATH_MAX is 4,096
    (tmp_path / "low" / "z").symlink_to(there_and_back + "d")
    for name, following in zip("abcd", "bcdz", strict=True):
        (tmp_path / "low" / f"l{name}").symlink_to(there_and_back + (f"l{following}" if following != "z" else "z"))
    assert merge("low").resolve(b"/ld")[0] == (b"d",)
    with pytest.raises(Refusal, match="'/la' leads through more than 4096 names"):
        merge("low").resolve(b"/la")


@root
@pytest.mark.parametrize("name", ["trusted.overlay.redirect", "trusted.overlay.metacopy"])
def test_what_overlayfs_has_put_in_short_is_refused(tmp_path: Path, merge: Callable[..., Merge], name: str) -> None:
    os.setxattr(tree(tmp_path / "low", a="") / "a", name, b"/elsewhere")
    with pytest.raises(Refusal, match="must be off"):
        packed(merge("low"))


def test_a_name_that_would_hide_another(tmp_path: Path, merge: Callable[..., Merge]) -> None:
    tree(tmp_path / "low", d__x="").joinpath("d", ".wh.passwd").touch()
    assert "d/.wh.passwd" in names(packed(merge("low")))
    with pytest.raises(Refusal, match=r"begins with \.wh\. hides another"):
        packed(merge("low", whiteouts=True))


def test_one_file_or_all_below(tmp_path: Path, merge: Callable[..., Merge]) -> None:
    tree(tmp_path / "low", d__sub__x="1", d__y="2", other="3")
    found = []
    for path in (b"/d", b"/d/y"):
        where, node = merge("low").resolve(path)
        assert node
        out = io.BytesIO()
        Content(merge("low"), Packer(out.write)).put_below(where, node)
        found.append(names(out.getvalue()))
    assert found == [[".", "y", "sub", "sub/x"], ["y"]]
