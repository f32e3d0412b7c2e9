# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that mean harm, or are damaged: refused with a sentence, or made harmless; nothing outside is touched."""

from __future__ import annotations

import gzip
import lzma
import os
import stat
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from mctld.images import bounds, unpacking
from mctld.images.refusal import Refusal
from unit.images.tars import BLOCK, END, archive, directory, header, link, member, pax, record, symlink

if TYPE_CHECKING:
    from unit.images.conftest import Bench

OUT = b"../../outside/canary"
EVIL = b"evil"
LONG = b"a" * 200

REFUSED: dict[str, tuple[bytes, str]] = {
    "absolute path": (archive(member(b"/etc/passwd", EVIL)), "is absolute"),
    "absolute path in a pax header": (archive(pax(path=b"/etc/passwd"), member(b"x", EVIL)), "is absolute"),
    "path upwards": (archive(member(OUT, EVIL)), "has .. in it"),
    "path upwards inside": (archive(member(b"a/../../outside/canary", EVIL)), "has .. in it"),
    "path that is ..": (archive(directory(b"..")), "has .. in it"),
    "prefix upwards": (archive(member(b"canary", EVIL, prefix=b"../../outside")), "has .. in it"),
    "GNU long name upwards": (archive(member(b"x", OUT + b"\0", b"L"), member(b"x", EVIL)), "has .. in it"),
    "directory link, then a file through it": (
        archive(symlink(b"d", b"../../outside"), member(b"d/canary", EVIL)),
        "leads through 'd'",
    ),
    "absolute directory link, then a file through it": (
        archive(symlink(b"d", b"/tmp"), member(b"d/canary", EVIL)),
        "leads through 'd'",
    ),
    "directory link below, then a directory through it": (
        archive(directory(b"a"), symlink(b"a/d", b"../../../outside"), directory(b"a/d/new")),
        "leads through 'a/d'",
    ),
    "60 links in a chain": (
        archive(
            *(symlink(b"l%d" % n, b"l%d" % (n + 1)) for n in range(60)),
            symlink(b"l60", b"../../outside"),
            member(b"l0/canary", EVIL),
        ),
        "leads through 'l0'",
    ),
    "link to itself, then through it": (archive(symlink(b"l", b"l"), member(b"l/x", EVIL)), "leads through 'l'"),
    "hard link out, absolute": (archive(link(b"l", b"/etc/passwd")), "is absolute"),
    "hard link out, relative": (archive(link(b"l", OUT)), "has .. in it"),
    "hard link out through a link": (
        archive(symlink(b"d", b"../../outside"), link(b"l", b"d/canary")),
        "leads through 'd'",
    ),
    "hard link to a directory": (archive(directory(b"d"), link(b"l", b"d")), "is no file in the layer"),
    "hard link to nothing": (archive(link(b"l", b"gone")), "is not there in the layer"),
    "hard link to itself": (archive(member(b"l", b"x"), link(b"l", b"l")), "hard link to itself"),
    "hard link to a FIFO": (archive(header(b"f", b"6"), link(b"l", b"f")), "is no file"),
    "hard link in the place of its target's directory": (
        archive(directory(b"d"), member(b"d/x", b"1"), link(b"d", b"d/x")),
        "takes the place of",
    ),
    "whiteout of ..": (archive(member(b".wh...")), "is no whiteout"),
    "whiteout of .": (archive(member(b".wh..")), "is no whiteout"),
    "whiteout of nothing": (archive(member(b".wh.")), "is no whiteout"),
    "whiteout of a whiteout": (archive(member(b".wh..wh.x")), "is no whiteout"),
    "whiteout through a link": (
        archive(symlink(b"d", b"../../outside"), member(b"d/.wh.canary")),
        "leads through 'd'",
    ),
    "opaque through a link": (
        archive(symlink(b"d", b"../../outside"), member(b"d/.wh..wh..opq")),
        "leads through 'd'",
    ),
    "whiteout with content": (archive(member(b".wh.x", EVIL)), "not an empty file"),
    "whiteout that is a link": (archive(symlink(b".wh.x", b"/")), "not an empty file"),
    "whiteout as a directory": (archive(member(b".wh.x/y", EVIL)), "has a whiteout in its path"),
    "device through a link": (archive(symlink(b"d", b"../../outside"), header(b"d/sda", b"4")), "leads through 'd'"),
    "root that is a file": (archive(member(b".", EVIL)), "root that is no directory"),
    "root that is a link": (archive(symlink(b"./", b"/etc")), "root that is no directory"),
    "NUL in a pax path": (archive(pax(path=b"a\0b"), member(b"x", EVIL)), "without a usable name"),
    "no name": (archive(member(b"", EVIL)), "without a usable name"),
    "name too long": (archive(pax(path=b"a" * 256), member(b"x", EVIL)), "more than 255 bytes"),
    "path too long": (archive(pax(path=b"a/" * 2048 + b"a"), member(b"x", EVIL)), "longer than 4095"),
    "path too deep": (archive(pax(path=b"a/" * 300), directory(b"x")), "more than 256 components"),
    "user beyond": (archive(member(b"x", EVIL, uid=70_000)), "belongs to user 70000"),
    "group beyond in pax": (archive(pax(gid=b"4294967295"), member(b"x")), "belongs to group 4294967295"),
    "negative user": (archive(member(b"x", fields={108: b"\xff" * 8})), "belongs to user -1"),
    "size beyond": (archive(header(b"x", size=0, fields={124: b"\x80" + b"\x7f" * 11})), "claims"),
    "negative size": (archive(header(b"x", fields={124: b"\xff" * 12})), "claims"),
    "size of a link": (archive(header(b"l", b"2", link=b"x", size=5)), "a symbolic link, claims 5 bytes"),
    "size of a directory": (archive(header(b"d", b"5", size=512)), "a directory, claims"),
    "size that is none": (archive(pax(size=b"-1"), member(b"x")), "that is no number"),
    "time that is none": (archive(pax(mtime=b"nan"), member(b"x")), "a time that is none"),
    "link to nothing": (archive(symlink(b"l", b"")), "no path can be"),
    "kind unknown": (archive(header(b"x", b"D")), "of a kind that images do not have"),
    "multi-volume": (archive(header(b"x", b"M", size=0)), "of a kind that images do not have"),
    "wrong sum": (b"x" + archive(member(b"x", EVIL))[1:].replace(b"ustar", b"astar"), "no tar archive"),
    "text": (b"#!/bin/sh\n" * 100, "no tar archive"),
    "HTML": (b"<html>" + b" " * 600, "no tar archive"),
    "empty": (b"", "cut off"),
    "only an end": (END, "is empty"),
    "cut off in a content": (member(b"x", b"y" * 2000)[:1500], "cut off"),
    "cut off in a header": (member(b"x", b"y")[:300], "cut off"),
    "without an end": (member(b"x", b"y"), "does not end as tar archives do"),
    "half an end": (member(b"x", b"y") + bytes(BLOCK), "does not end as tar archives do"),
    "more behind the end": (archive(member(b"x", EVIL)) + member(b"y", EVIL), "goes on after its end"),
    "ends in a pax header": (archive(pax(path=b"x")), "ends after an extended header"),
    "pax record with a wrong length": (
        archive(header(b"p", b"x", size=12) + b"99 path=abc\n".ljust(BLOCK, b"\0"), member(b"x")),
        "damaged extended header",
    ),
    "pax record without a line end": (
        archive(header(b"p", b"x", size=12) + b"12 path=abcd".ljust(BLOCK, b"\0"), member(b"x")),
        "damaged extended header",
    ),
    "pax header too long": (archive(header(b"p", b"x", size=bounds.HEADER_BYTES + 1)), "the most is"),
    "one extension after the other": (archive(*[pax(comment=b"x")] * 9, member(b"x")), "one extended header after"),
    "sparse map that overlaps": (
        archive(pax(GNU__sparse__size=b"100", GNU__sparse__map=b"0,10,5,10"), member(b"x", b"y" * 20)),
        "overlap or lie beyond",
    ),
    "sparse map beyond the end": (
        archive(pax(GNU__sparse__size=b"10", GNU__sparse__map=b"5,20"), member(b"x", b"y" * 20)),
        "overlap or lie beyond",
    ),
    "sparse map with less than is stored": (
        archive(pax(GNU__sparse__size=b"100", GNU__sparse__map=b"0,5"), member(b"x", b"y" * 20)),
        "more or fewer bytes",
    ),
    "sparse file too large": (
        archive(pax(GNU__sparse__size=b"9999999999999", GNU__sparse__map=b"0,1"), member(b"x", b"y")),
        "claims 9999999999999 bytes",
    ),
    "sparse map without end": (
        archive(
            pax(GNU__sparse__major=b"1", GNU__sparse__minor=b"0", GNU__sparse__realsize=b"9"),
            member(b"x", b"99999\n" + b"1\n" * 250),
        ),
        "sparse file",
    ),
    "attribute too long": (
        archive(
            header(b"p", b"x", size=len(big := record(b"SCHILY.xattr.user.x", b"v" * 65_537)))
            + big.ljust(-(-len(big) // BLOCK) * BLOCK, b"\0"),
            member(b"x"),
        ),
        "more than 65536 bytes",
    ),
    "too many attributes": (
        archive(pax(**{f"SCHILY__xattr__user__n{n}": b"v" for n in range(70)}), member(b"x")),
        "more than 64 extended attributes",
    ),
    "bzip2": (b"BZh91AY&SY" + bytes(600), "bzip2"),
    "gzip cut off": (gzip.compress(archive(member(b"x", os.urandom(5000))))[:-100], "cut off"),
    "gzip damaged": (gzip.compress(archive(member(b"x", EVIL)))[:-8] + b"\xff" * 8, "damaged"),
    "xz cut off": (lzma.compress(archive(member(b"x", os.urandom(5000))))[:-100], "cut off"),
    "xz damaged": (lzma.compress(archive(member(b"x", EVIL)))[:-30] + b"\xff" * 30, "damaged"),
    "zstd damaged": (b"\x28\xb5\x2f\xfd" + b"\xff" * 100, "damaged"),
    "zstd cut off": (b"\x28\xb5\x2f\xfd\x00\x58", "cut off"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(bench: Bench, name: str) -> None:
    data, words = REFUSED[name]
    with pytest.raises(Refusal) as refusal:
        bench.unpack(data)
    assert words in str(refusal.value)
    assert str(refusal.value).isprintable()


def test_a_file_in_the_place_of_a_link_does_not_follow_it(bench: Bench) -> None:
    bench.unpack(archive(symlink(b"f", OUT), member(b"f", b"new", mode=0o755)))
    assert (bench.tree / "f").read_bytes() == b"new"
    assert not (bench.tree / "f").is_symlink()


def test_a_hard_link_to_a_link_is_a_link(bench: Bench) -> None:
    """And what then takes its place is written beside it, not through it."""
    bench.unpack(archive(symlink(b"l", OUT), link(b"h", b"l"), member(b"h", b"new")))
    assert (bench.tree / "l").readlink().name == "canary"
    assert (bench.tree / "h").read_bytes() == b"new"


def test_a_file_in_the_place_of_a_hard_link_leaves_the_other_alone(bench: Bench) -> None:
    bench.unpack(archive(member(b"a", b"old"), link(b"b", b"a"), member(b"b", b"new")))
    assert ((bench.tree / "a").read_bytes(), (bench.tree / "b").read_bytes()) == (b"old", b"new")


def test_a_mode_of_a_link_changes_nothing_behind_it(bench: Bench) -> None:
    """CVE-2021-32760."""
    bench.unpack(archive(header(b"l", b"2", link=OUT, mode=0o777)))
    assert (bench.tree / "l").is_symlink()


def test_devices_are_left_out(bench: Bench) -> None:
    made = bench.unpack(
        archive(header(b"sda", b"4"), header(b"dev/zero", b"3"), header(b"gone", b"3"), member(b"x", b"y"))
    )
    assert made.dropped_devices == 3
    assert bench.names() == ["dev", "x"]


def test_a_fifo_holds_nothing_up(bench: Bench) -> None:
    bench.unpack(archive(header(b"f", b"6", mode=0o600)))
    assert stat.S_ISFIFO((bench.tree / "f").lstat().st_mode)


def test_attributes_that_the_kernel_or_overlayfs_heeds_are_left_out(bench: Bench) -> None:
    attributes = {
        "SCHILY__xattr__trusted.overlay.opaque": b"y",
        "SCHILY__xattr__user.overlay.opaque": b"y",
        "SCHILY__xattr__security.selinux": b"x",
        "SCHILY__xattr__system.posix_acl_access": b"x",
        "SCHILY__xattr__user.note": b"kept",
    }
    bench.unpack(archive(pax(**attributes), directory(b"d")))
    assert os.listxattr(bench.tree / "d") == ["user.note"]


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
def test_a_bomb_ends_early(bench: Bench, monkeypatch: pytest.MonkeyPatch, compress: object) -> None:
    assert callable(compress)
    monkeypatch.setattr(bounds, "RATIO_FREE", 1 << 20)
    with pytest.raises(Refusal, match="decompression bomb"):
        bench.unpack(compress(archive(member(b"zeros", bytes(64 << 20)))))
    assert sum(path.stat().st_size for path in bench.tree.rglob("*")) < 32 << 20


@pytest.mark.parametrize(("bound", "value", "words"), [
    ("ENTRIES", 10, "more than 10 members"),
    ("LAYER_BYTES", 100_000, "claims|more than 100000 bytes"),
    ("SPACE_BYTES", 1 << 60, "make room"),
])  # fmt: skip
def test_bounds(bench: Bench, monkeypatch: pytest.MonkeyPatch, bound: str, value: int, words: str) -> None:
    monkeypatch.setattr(bounds, bound, value)
    monkeypatch.setattr(bounds, "SPACE_SHARE", 1)
    with pytest.raises(Refusal, match=words):
        bench.unpack(archive(*(member(b"f%d" % n, b"x" * 20_000) for n in range(20))))


def test_replaced_directories_are_counted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "REPLACED_DIRECTORIES", 3)
    with pytest.raises(Refusal, match="replaces more than 3 directories"):
        bench.unpack(archive(*[directory(b"d"), member(b"d", b"x")] * 5))


def test_the_last_inodes_are_not_for_images(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at while a layer grows: empty files take no bytes."""
    looks = iter([1_000_000, 3_000])

    def statvfs(_: object) -> SimpleNamespace:
        return SimpleNamespace(
            f_bavail=1 << 40, f_blocks=1 << 40, f_frsize=4096, f_files=1_000_000, f_favail=next(looks)
        )

    monkeypatch.setattr(os, "statvfs", statvfs)
    monkeypatch.setattr(unpacking, "ENTRIES_EVERY", 10)
    with pytest.raises(Refusal, match="hold 3000 more files: the last 50000 are not for images"):
        bench.unpack(archive(*(member(b"f%d" % n, b"") for n in range(20))))
    assert len(list(bench.tree.iterdir())) == 10
