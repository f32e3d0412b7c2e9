# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts that were asked for: their options, and the places that they may not cover."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mctld.errors import InvalidArgs
from mctld.mounts import KEPT, MOUNTS_MAX, Bind, HostPath, Tmpfs, check_targets, plain, size

ROOTS = HostPath("/srv/a", 1, 2)
ALICES = HostPath("/home/alice", 1, 3, (1000, 1000))


@pytest.mark.parametrize(
    ("source", "options", "read_only", "recursive"),
    [
        (ROOTS, "", False, True),
        (ROOTS, "rw,,", False, True),
        (ROOTS, "ro", True, True),
        (ROOTS, "bind", False, False),
        (ROOTS, "ro,rbind", True, True),
        (ALICES, "", False, False),
        (ALICES, "ro,bind", True, False),
    ],
)
def test_binds(source: HostPath, options: str, *, read_only: bool, recursive: bool) -> None:
    """An ordinary user is not shown what others have mounted below her directory."""
    bind = Bind.parse(source, "/x", options)
    assert (bind.read_only, bind.recursive) == (read_only, recursive)
    assert Bind.parse(source, "/x", bind.options) == bind


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        (ROOTS, "ro,z", "option 'z' of /x is not known: use ro, rw, bind or rbind"),
        (ROOTS, "shared", "is not known"),
        (ROOTS, "RO", "is not known"),
        (ROOTS, " ro", "is not known"),
        (ROOTS, "ro,rw", "are both ro and rw"),
        (ROOTS, "bind,rbind", "are both bind and rbind"),
        (ALICES, "rbind", "below /home/alice is not yours to show"),
        (ROOTS, "ro\n", "is not known"),
    ],
)
def test_options_of_binds_that_are_refused(source: HostPath, options: str, words: str) -> None:
    with pytest.raises(InvalidArgs, match=words):
        Bind.parse(source, "/x", options)


@pytest.mark.parametrize(
    "target",
    [
        *KEPT, "/proc/", "//proc", "/proc/x", "/proc//x", "//proc//sys", "/sys/fs/cgroup", "/dev/pts/0", "//dev//pts//",
        "/dev/mqueue/x", "///",
    ],
)  # fmt: skip
def test_the_walls_cannot_be_covered(target: str) -> None:
    for make in (lambda: Bind.parse(ROOTS, target, ""), lambda: Tmpfs.parse(target, "")):
        with pytest.raises(InvalidArgs, match="would cover a file system"):
            make()


@pytest.mark.parametrize("target", ["", "x", "./x", "/a/../b", "/a/.", "/..", "/a\nb", "/a\0b", "/" + "x" * 4096])
def test_targets_that_are_no_paths(target: str) -> None:
    with pytest.raises(InvalidArgs):
        Tmpfs.parse(target, "")


@pytest.mark.parametrize("target", ["/dev/shm", "/dev/x", "/etc/hosts", "/procs", "/data", "/a b", "/système"])
def test_targets(target: str) -> None:
    assert Bind.parse(ROOTS, target, "").target == target
    assert Tmpfs.parse(target + "//", "").target == target


@pytest.mark.parametrize(
    ("options", "made"),
    [
        ("", Tmpfs("/x")),
        ("size=64m,nr_inodes=1k,mode=755", Tmpfs("/x", 64 << 20, 1024, 0o755)),
        ("size=4096,mode=0,exec,ro", Tmpfs("/x", 4096, mode=0, executable=True, read_only=True)),
        ("noexec,nosuid,nodev,rw", Tmpfs("/x")),
        ("size=16t", Tmpfs("/x", 1 << 44)),
        ("SIZE=1".lower() + "gb", Tmpfs("/x", 1 << 30)),
        ("exec,noexec", Tmpfs("/x")),
    ],
)
def test_tmpfs(options: str, made: Tmpfs) -> None:
    assert Tmpfs.parse("/x", options) == made
    assert Tmpfs.parse("/x", made.options) == made


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("size=0", "between 4096 and"),
        ("size=4095", "between 4096 and"),
        ("size=17t", "out of range"),
        ("size=99999999999999t", "out of range"),
        ("size=50%", "'50%' is not a size such as"),
        ("size=-1", "is not a size"),
        ("size=1e3", "is not a size"),
        ("size=٤٠٩٦", "is not a size"),
        ("size", "option 'size' of /x is not known"),
        ("size=", "is not a size"),
        ("nr_inodes=1", "between 2 and"),
        ("nr_inodes=0", "between 2 and"),
        ("mode=8", "is not known"),
        ("mode=10000", "is not known"),
        ("mode=", "is not known"),
        ("suid", "is not known"),
        ("dev", "is not known"),
        ("uid=0", "is not known"),
        ("huge=always", "is not known"),
        ("mpol=bind", "is not known"),
    ],
)
def test_options_of_tmpfs_that_are_refused(options: str, words: str) -> None:
    with pytest.raises(InvalidArgs, match=words):
        Tmpfs.parse("/x", options)


@pytest.mark.parametrize(
    ("binds", "tmpfs"),
    [(["/x", "/x"], []), (["/x", "//x/"], []), (["/x"], ["/x"]), ([], ["/a/b", "/a//b"])],
)
def test_one_place_one_thing(binds: list[str], tmpfs: list[str]) -> None:
    with pytest.raises(InvalidArgs, match="two mounts were asked for at"):
        check_targets(tuple(Bind(ROOTS, target) for target in binds), tuple(Tmpfs(target) for target in tmpfs))


def test_the_number_of_mounts_is_bounded() -> None:
    many = tuple(Tmpfs(f"/{n}") for n in range(MOUNTS_MAX))
    check_targets((), many)
    with pytest.raises(InvalidArgs, match="129 mounts were asked for: the most is 128"):
        check_targets((Bind(ROOTS, "/x"),), many)


@given(st.text("/.ab ", max_size=12).map("/".__add__))
def test_a_plain_path_is_plain(path: str) -> None:
    assert "//" not in plain(path)
    assert plain(plain(path)) == plain(path)
    assert [part for part in plain(path).split("/") if part] == [part for part in path.split("/") if part]


@given(st.text(max_size=8))
def test_a_size_is_a_size(text: str) -> None:
    try:
        found = size("Tmpfs size", text)
    except InvalidArgs:
        return
    assert found >= 0
    assert text.isascii()
