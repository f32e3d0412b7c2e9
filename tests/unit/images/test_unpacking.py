# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers come out as their archives say, in overlayfs's form."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import os
import shutil
import stat
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mctld.images.entry import split
from mctld.images.refusal import Refusal
from unit.images.tars import END, archive, directory, header, link, member, pax, symlink

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from unit.images.conftest import Bench

PLAIN = archive(
    directory(b"./", 0o711),
    directory(b"d/", 0o2750),
    member(b"d/f", b"hello" * 1000, mode=0o4755, mtime=1_600_000_000),
    symlink(b"d/l", b"/anywhere/at/all"),
    link(b"h", b"d/f"),
    member(b"empty"),
    header(b"fifo", b"6", mode=0o640),
)


def is_whiteout(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def test_all_kinds(bench: Bench) -> None:
    made = bench.unpack(PLAIN)
    tree = bench.tree
    assert made.diff_id == f"sha256:{hashlib.sha256(PLAIN).hexdigest()}"
    assert (made.size, made.entries, made.has_root, made.opaque) == (5000, 7, True, ())
    assert stat.S_IMODE(tree.stat().st_mode) == 0o711
    assert stat.S_IMODE((tree / "d").stat().st_mode) == 0o2750
    assert (tree / "d").stat().st_mtime == 1_700_000_000
    assert (tree / "d/f").read_bytes() == b"hello" * 1000
    assert stat.S_IMODE((tree / "d/f").stat().st_mode) == 0o4755
    assert (tree / "d/f").stat().st_mtime == 1_600_000_000
    assert str((tree / "d/l").readlink()) == "/anywhere/at/all"
    assert (tree / "h").stat().st_ino == (tree / "d/f").stat().st_ino
    assert (tree / "empty").read_bytes() == b""


@pytest.mark.parametrize("compress", [
    gzip.compress, lzma.compress, lambda data: gzip.compress(data[:700]) + gzip.compress(data[700:]),
    lambda data: lzma.compress(data[:700]) + lzma.compress(data[700:]),
    lambda data: gzip.compress(data) + bytes(512),
], ids=["gzip", "xz", "gzip members", "xz streams", "gzip with zeros behind"])  # fmt: skip
def test_compressed(bench: Bench, compress: Callable[[bytes], bytes]) -> None:
    assert bench.unpack(compress(PLAIN)).diff_id == f"sha256:{hashlib.sha256(PLAIN).hexdigest()}"


@pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not installed")
@pytest.mark.parametrize("parts", [1, 3])
def test_zstd(bench: Bench, parts: int) -> None:
    """Frames one after the other; large enough for several pieces of output."""
    data = archive(member(b"random", os.urandom(3 << 20)), member(b"zeros", bytes(9 << 20)))
    step = -(-len(data) // parts)
    packed = b"".join(
        subprocess.run(["zstd", "-q", "-c"], input=data[at : at + step], capture_output=True, check=True).stdout
        for at in range(0, len(data), step)
    )
    assert bench.unpack(packed).diff_id == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert (bench.tree / "zeros").stat().st_size == 9 << 20


def test_whiteouts(bench: Bench) -> None:
    """Of what this layer has only what lies below a directory is affected: that of lower layers."""
    made = bench.unpack(
        archive(
            member(b"d/.wh.gone"), member(b"o/.wh..wh..opq"), member(b"o/new", b"x"), directory(b"own"),
            member(b"own/f", b"x"), member(b".wh.own"), member(b"kept", b"x"), member(b".wh.kept"),
            member(b".wh.again"), directory(b"again"), member(b"again/f", b"x"),
            member(b".wh.later"), member(b"later/f", b"x"), member(b".wh.file"), member(b"file", b"x"),
        )
    )  # fmt: skip
    assert is_whiteout(bench.tree / "d/gone")
    assert set(made.opaque) == {"o", "own", "again", "later"}
    assert (bench.tree / "own/f").read_bytes() == b"x"
    assert (bench.tree / "kept").read_bytes() == b"x"
    assert (bench.tree / "file").read_bytes() == b"x"
    assert not [name for name in bench.names() if ".wh." in name]


def test_an_opaque_root(bench: Bench) -> None:
    assert bench.unpack(archive(member(b".wh..wh..opq"), member(b"x", b"y"))).opaque == ("",)


def test_what_comes_later_wins(bench: Bench) -> None:
    bench.unpack(
        archive(
            member(b"f", b"1"), member(b"f", b"22"), directory(b"d"), member(b"d/x", b"1"), member(b"d", b"file now"),
            member(b"e", b"1"), directory(b"e"), member(b"e/x", b"2"), directory(b"e", 0o700),
            member(b"s/x", b"1"), symlink(b"s", b"f"),
        )
    )  # fmt: skip
    assert bench.names() == ["d", "e", "e/x", "f", "s"]
    assert (bench.tree / "f").read_bytes() == b"22"
    assert (bench.tree / "d").read_bytes() == b"file now"
    assert stat.S_IMODE((bench.tree / "e").stat().st_mode) == 0o700
    assert (bench.tree / "s").is_symlink()
    assert len(list((bench.place / "replaced").iterdir())) == 4


def test_implied_directories(bench: Bench) -> None:
    bench.unpack(archive(member(b"a/b/c/f", b"x")))
    assert stat.S_IMODE((bench.tree / "a/b").stat().st_mode) == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files away takes root")
def test_owners_set_user_id_and_capabilities(bench: Bench) -> None:
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    bench.unpack(
        archive(
            pax(SCHILY__xattr__security__capability=capability),
            member(b"ping", b"x", mode=0o4755, uid=7, gid=8),
            header(b"l", b"2", link=b"x", uid=9, gid=9),
            directory(b"home", 0o700, uid=1000, gid=65_535),
        )
    )
    status = (bench.tree / "ping").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (7, 8, 0o4755)
    assert os.getxattr(bench.tree / "ping", "security.capability") == capability
    assert (bench.tree / "l").lstat().st_uid == 9
    assert (bench.tree / "home").stat().st_gid == 65_535


def test_names_of_all_kinds(bench: Bench) -> None:
    long = b"d" * 120 + b"/" + b"f" * 120
    bench.unpack(
        archive(
            pax(path=long), member(b"short", b"1"), member(b"x", b"g" * 150 + b"\0", b"L"), member(b"x", b"2"),
            member(b"tail", b"3", prefix=b"p" * 100), member(b"\xff\xfe", b"4"), member(b"././@Long", b"k/e\0", b"K"),
            symlink(b"sym", b"y"), pax(b"g", comment=b"x"), member(b"last", b"5"),
        )
    )  # fmt: skip
    tree = os.fsencode(bench.tree)
    with open(tree + b"/" + long, "rb") as file:
        assert file.read() == b"1"
    assert os.path.exists(tree + b"/" + b"g" * 150)
    assert os.path.exists(tree + b"/" + b"p" * 100 + b"/tail")
    assert os.path.exists(tree + b"/\xff\xfe")
    assert os.readlink(tree + b"/sym") == b"k/e"
    assert not os.path.exists(tree + b"/short")


@pytest.mark.parametrize("form", ["0.0", "0.1", "1.0", "old"])
def test_sparse_files(bench: Bench, tmp_path_factory: pytest.TempPathFactory, form: str) -> None:
    """As GNU tar writes them: with holes before, between and behind."""
    place = tmp_path_factory.mktemp("sparse")
    with open(place / "f", "wb") as file:
        for at in range(1, 30, 3):
            file.seek(at << 20)
            file.write(b"data%02d" % at)
        file.truncate(40 << 20)
    options = ["--format=gnu"] if form == "old" else ["--format=posix", f"--sparse-version={form}"]
    command = ["tar", "--create", "--sparse", *options, f"--directory={place}", "f"]
    made = bench.unpack(subprocess.run(command, capture_output=True, check=True).stdout)
    assert (bench.tree / "f").read_bytes() == (place / "f").read_bytes()
    assert made.size < 1 << 20
    assert (bench.tree / "f").stat().st_blocks * 512 < 4 << 20


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_archives_of_pythons_tarfile(bench: Bench, form: int) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for number in range(50):
            entry = tarfile.TarInfo(f"directory{number % 7}/{'n' * number}{number}")
            entry.size, entry.mtime, entry.uid, entry.gid = number, number, os.geteuid(), os.getegid()
            tar.addfile(entry, io.BytesIO(b"x" * number))
    assert bench.unpack(out.getvalue()).entries == 50
    assert len([name for name in bench.names() if "/" in name]) == 50


def test_an_end_is_not_needed_where_a_digest_proves_it(bench: Bench) -> None:
    assert bench.unpack(archive(member(b"x", b"y"))[: -len(END)], end_required=False).entries == 1


PART = st.one_of(st.sampled_from([b".", b"..", b"", b"a", b"b", b"\xff", b"..."]), st.binary(min_size=1, max_size=5))


@given(st.lists(PART, max_size=8), st.booleans())
@settings(max_examples=1000)
def test_paths_stay_below(parts: list[bytes], absolute: bool) -> None:  # noqa: FBT001
    path = b"/" * absolute + b"/".join(parts)
    try:
        found = split(path)
    except Refusal:
        return
    assert not path.startswith(b"/")
    assert all(part not in (b"", b".", b"..") and b"/" not in part and b"\0" not in part for part in found)
    resolved = os.path.normpath(os.path.join(b"/root", path))
    assert resolved == os.path.join(b"/root", *found)


NAME = st.sampled_from([b"a", b"b", b"a/b", b"b/a", b"a/b/c", b".wh.a", b"a/.wh..wh..opq", b"b/.wh.a", b"."])
TARGET = st.sampled_from([b"a", b"b", b"..", b"../../outside", b"/", b"a/b", b"../../outside/canary"])
MEMBER = st.one_of(
    st.builds(member, NAME, st.binary(max_size=20)),
    st.builds(directory, NAME),
    st.builds(symlink, NAME, TARGET),
    st.builds(link, NAME, TARGET),
    st.builds(lambda name: header(name, b"6"), NAME),
    st.builds(lambda name: header(name, b"3"), NAME),
)


@given(st.lists(MEMBER, min_size=1, max_size=12))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_order_of_members_leads_out(bench: Bench, members: list[bytes]) -> None:
    """The bench looks at what lies outside when all examples are through."""
    for name in ("tree", "replaced"):
        shutil.rmtree(bench.place / name)
        (bench.place / name).mkdir()
    try:
        bench.unpack(archive(*members))
    except Refusal:
        return
    assert (bench.outside / "canary").read_text() == "alive"
