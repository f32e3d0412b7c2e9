# SPDX-License-Identifier: GPL-3.0-or-later
"""Where mounts end up, whatever an image has prepared there: in real namespaces. Needs root."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from kernel.box import Box, bind, clone, give
from mctld.errors import SetupFailed
from mctld.kernel import mount
from mctld.mounts import Tmpfs
from mctld.runtime import planner

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces: needs root")


@pytest.fixture
def box(address: str, tmp_path: Path) -> Box:
    return Box(address, tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [("", "rw,nosuid,nodev,noexec"), ("exec,mode=750", "rw,nosuid,nodev"), ("ro", "ro,nosuid,nodev,noexec")],
)
def test_a_directory_in_memory(box: Box, options: str, words: str) -> None:
    tmpfs = Tmpfs.parse("/x", f"size=64k,nr_inodes=10,{options}")
    text = box.run("grep ' /x ' /proc/self/mountinfo; stat -c %a /x", tmpfs=(tmpfs,))
    shown, _, made = text.partition(" - ")
    assert shown.split()[5].removesuffix(",relatime") == words
    assert "size=64k,nr_inodes=10" in made
    assert made.split()[-1] == f"{tmpfs.mode:o}"


def test_a_directory_in_memory_has_bounds(box: Box) -> None:
    script = "head -c 100000 /dev/zero > /x/a; rm /x/a; for n in 1 2 3 4 5 6 7 8 9; do (: > /x/$n); done; ls /x | wc -l"
    text = box.run(script, tmpfs=(Tmpfs.parse("/x", "size=64k,nr_inodes=5"),))
    assert text.count("No space left on device") >= 2
    assert int(text.split()[-1]) == 4


def test_files_directories_and_sockets_are_shown(box: Box) -> None:
    (box.outside / "dir").mkdir()
    (box.outside / "dir/inner").write_text("in")
    (box.outside / "file").write_text("text")
    script = "cat /a/b/dir/inner /some/file; echo more > /some/file; echo x > /a/b/dir/new; echo x > /ro/new"
    binds = (
        bind(box.outside / "dir", "/a/b/dir"), bind(box.outside / "file", "/some/file"),
        bind(box.outside / "dir", "/ro", read_only=True),
    )  # fmt: skip
    text = box.run(script, binds=binds)
    assert text.startswith("intext")
    assert "/ro/new: Read-only file system" in text
    assert (box.outside / "file").read_text() == "more\n"
    assert (box.outside / "dir/new").exists()


def test_what_lies_deeper_is_on_top(box: Box) -> None:
    """Whatever the order; a place that is missing is made in the directory that holds it."""
    for name in ("outer", "inner"):
        (box.outside / name).mkdir()
        (box.outside / name / "who").write_text(name)
    binds = (bind(box.outside / "inner", "/v/sub"), bind(box.outside / "outer", "/v"))
    assert box.run("cat /v/who /v/sub/who", binds=binds) == "outerinner"
    assert (box.outside / "outer/sub").is_dir()


def test_no_set_user_id_program_of_the_host_works(box: Box) -> None:
    text = box.run("grep -E ' /(v|usr) ' /proc/self/mountinfo", binds=(bind(box.outside, "/v"),))
    assert len(text.splitlines()) == 2
    assert all("nosuid,nodev" in line.split()[5] for line in text.splitlines())


def test_no_mount_goes_in_or_out(box: Box) -> None:
    """What is mounted below a source later does not show inside, and nothing inside shows outside."""
    (box.outside / "shared/below").mkdir(parents=True)
    shared = str(box.outside / "shared")
    tree = clone(box.outside / "shared")
    mount.attach_at(tree, shared)
    os.close(tree)
    try:
        mount.set_propagation(shared, 1 << 20)  # MS_SHARED
        text = box.run("grep ' /v ' /proc/self/mountinfo", binds=(bind(box.outside / "shared", "/v"),))
        assert "shared:" not in text
        assert "master:" not in text
    finally:
        mount.umount(shared)


@pytest.mark.parametrize("target", ["/proc", "/proc/sys", "/sys", "/sys/class", "/dev", "/dev/pts", "/dev/mqueue", "/"])
@pytest.mark.parametrize("what", ["bind", "tmpfs"])
def test_no_link_of_the_image_leads_onto_the_walls(box: Box, target: str, what: str) -> None:
    (box.root / "data").symlink_to(f"/tmp/..{target}")
    asked = {"binds": (bind(box.outside, "/data"),)} if what == "bind" else {"tmpfs": (Tmpfs("/data"),)}
    with pytest.raises(SetupFailed, match="which the container's walls stand on"):
        box.run("true", **asked)


@pytest.mark.parametrize("target", ["/data", "/data/below", "/dangling/below", "/dangling"])
def test_links_of_the_image_stay_inside(box: Box, target: str) -> None:
    """CVE-2021-30465, crun issue 111: a mount's place is made inside, and nothing of the host is touched."""
    canary = box.outside / "canary"
    canary.mkdir()
    (box.root / "data").symlink_to(canary)
    (box.root / "dangling").symlink_to("../../nowhere")
    (box.root / canary.relative_to("/")).mkdir(parents=True)
    for made in [box.root / canary.relative_to("/"), *(box.root / canary.relative_to("/")).parents]:
        if made == box.root:
            break
        give(made)
    if target.startswith("/dangling"):
        with pytest.raises(SetupFailed, match="a symbolic link that leads nowhere"):
            box.run("true", tmpfs=(Tmpfs(target),))
    else:
        assert box.run(f"touch {target}/x && ls {target}", tmpfs=(Tmpfs(target),)) == "x\n"
    assert list(canary.iterdir()) == []


@pytest.mark.parametrize("name", planner.ETC_FILES)
@pytest.mark.parametrize("kind", ["missing", "file", "dangling", "absolute", "climbing", "fifo"])
def test_files_of_ours_are_never_written_into_the_image(box: Box, name: str, kind: str) -> None:
    canary = box.outside / "canary"
    canary.write_text("alive")
    place = box.root / "etc" / name
    if kind == "file":
        place.write_text("image")
    elif kind == "fifo":
        os.mkfifo(place)
    elif kind != "missing":
        place.symlink_to({"dangling": "nowhere", "absolute": f"{canary}", "climbing": f"../../../../..{canary}"}[kind])
    script = f"cat /etc/{name}; echo changed > /etc/{name}"
    text = box.run(script, hosts=(("db", "10.9.8.7"),), name_servers=("9.9.9.9",))
    assert {"hostname": "box", "hosts": "10.9.8.7\tdb", "resolv.conf": "nameserver 9.9.9.9"}[name] in text
    assert canary.read_text() == "alive"
    if kind == "file":
        assert place.read_text() == "image"


def test_a_directory_in_place_of_a_file_is_told(box: Box) -> None:
    (box.root / "etc/hosts").mkdir()
    with pytest.raises(SetupFailed, match="show /etc/hosts"):
        box.run("true")


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
@pytest.mark.parametrize("target", ["{outside}", "etc", "/tmp"])
def test_a_link_in_place_of_a_wall_is_refused(box: Box, name: str, target: str) -> None:
    """CVE-2026-47766."""
    (box.root / name).symlink_to(target.format(outside=box.outside))
    with pytest.raises(SetupFailed, match=f"on /{name}"):
        box.run("true")
    assert sorted(path.name for path in box.outside.iterdir()) == ["files", "root", "spawner.sock"]


