# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory that a layer's archive does not name shows as the layers below have it."""

from __future__ import annotations

import io
import os
import tarfile
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest

from mctld.images import bounds, implied
from mctld.images.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from unit.images.conftest import Bench


def archive(*names: str) -> bytes:
    """A name with a slash at its end is a directory's."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for name in names:
            entry = tarfile.TarInfo(name.rstrip("/"))
            if name.endswith("/"):
                entry.type, entry.mode = tarfile.DIRTYPE, 0o711
            made.addfile(entry)
    return out.getvalue()


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("tmp/a",), ("tmp",)),
        (("usr/share/x/a", "usr/share/b"), ("usr", "usr/share", "usr/share/x")),
        (("tmp/", "tmp/a"), ()),
        (("tmp/a", "tmp/"), ()),  # the archive's own word, also late
        ((".wh.tmp", "tmp/a"), ()),  # what is below is hidden
        (("tmp/.wh.a",), ("tmp",)),
        (("d/e/a", "d"), ()),  # gone again, with all below
    ],
)
def test_what_an_archive_implies(bench: Bench, names: tuple[str, ...], found: tuple[str, ...]) -> None:
    if any(".wh." in name for name in names) and os.geteuid() != 0:
        pytest.skip("whiteouts take root")
    assert sorted(bench.unpack(archive(*names)).implied) == sorted(found)


@pytest.fixture
def layers(tmp_path: Path) -> Iterator[dict[str, int]]:
    """Open roots: new, middle, lowest."""
    opened = {}
    for name in ("new", "middle", "lowest"):
        (tmp_path / name).mkdir()
        opened[name] = os.open(tmp_path / name, os.O_PATH | os.O_DIRECTORY)
    yield opened
    for each in opened.values():
        os.close(each)


def directory(place: Path, mode: int, mtime: int) -> None:
    place.mkdir(exist_ok=True)
    place.chmod(mode)
    os.utime(place, (mtime, mtime))


def lay(tree: int, paths: list[str], below: list[int]) -> None:
    implied.adapt(tree, implied.Examples().find(paths, below))


def test_it_is_as_the_next_layer_below_has_it(tmp_path: Path, layers: dict[str, int]) -> None:
    directory(tmp_path / "lowest" / "tmp", 0o1777, 1000)
    directory(tmp_path / "lowest" / "secret", 0o755, 1000)
    directory(tmp_path / "middle" / "secret", 0o700, 2000)
    for name in ("tmp", "secret", "own"):
        directory(tmp_path / "new" / name, 0o755, 3000)
    lay(layers["new"], ["tmp", "secret", "own"], [layers["middle"], layers["lowest"]])
    found = {path.name: path.stat() for path in (tmp_path / "new").iterdir()}
    assert {name: (each.st_mode & 0o7777, each.st_mtime) for name, each in found.items()} == {
        "tmp": (0o1777, 1000), "secret": (0o700, 2000), "own": (0o755, 3000),
    }  # fmt: skip


def test_links_and_files_below_are_no_example(tmp_path: Path, layers: dict[str, int]) -> None:
    directory(tmp_path / "outside", 0o777, 1000)
    (tmp_path / "middle" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "middle" / "file").write_text("")
    (tmp_path / "middle" / "file").chmod(0o600)
    for name in ("link", "file", "link/below", "file/below"):
        directory(tmp_path / "new" / name, 0o755, 3000)
    lay(layers["new"], ["link", "file", "link/below", "file/below"], [layers["middle"]])
    assert {path.stat().st_mode & 0o7777 for path in (tmp_path / "new").rglob("*")} == {0o755}


@pytest.mark.skipif(os.geteuid() != 0, reason="whiteouts take root")
def test_a_whiteout_between_hides(tmp_path: Path, layers: dict[str, int]) -> None:
    directory(tmp_path / "lowest" / "tmp", 0o1777, 1000)
    os.mknod(tmp_path / "middle" / "tmp", 0o020000, 0)
    directory(tmp_path / "new" / "tmp", 0o755, 3000)
    lay(layers["new"], ["tmp"], [layers["middle"], layers["lowest"]])
    assert (tmp_path / "new" / "tmp").stat().st_mode & 0o7777 == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="chown takes root")
def test_its_owner_too(tmp_path: Path, layers: dict[str, int]) -> None:
    directory(tmp_path / "middle" / "home", 0o2750, 1000)
    os.chown(tmp_path / "middle" / "home", 1000, 1001)
    directory(tmp_path / "new" / "home", 0o755, 3000)
    lay(layers["new"], ["home"], [layers["middle"]])
    found = (tmp_path / "new" / "home").stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (1000, 1001, 0o2750)


def test_a_layer_goes_by_what_it_was_laid_upon(tmp_path: Path, layers: dict[str, int]) -> None:
    """Else who brings it in first chooses what everybody's directories are like."""
    digest = f"sha256:{'1' * 64}"

    def key(*paths: str) -> str:
        return implied.key(digest, paths, implied.Examples().find(paths, [layers["middle"], layers["lowest"]]))

    directory(tmp_path / "lowest" / "bin", 0o755, 1000)
    honest, nothing = key("bin"), key("other")
    directory(tmp_path / "middle" / "bin", 0o777, 1000)
    others = key("bin")
    assert len({digest, honest, nothing, others}) == 4
    directory(tmp_path / "middle" / "bin", 0o755, 1000)
    assert key("bin") == honest
    assert key() == digest  # what implies nothing is the same everywhere


@pytest.mark.skipif(os.geteuid() != 0, reason="opaque directories take root")
def test_below_an_opaque_directory_nothing_shows(tmp_path: Path, layers: dict[str, int]) -> None:
    directory(tmp_path / "lowest" / "a", 0o711, 1000)
    directory(tmp_path / "lowest" / "a" / "b", 0o711, 1000)
    directory(tmp_path / "middle" / "a", 0o700, 1000)
    os.setxattr(tmp_path / "middle" / "a", "trusted.overlay.opaque", b"y")
    found = implied.Examples().find(["a", "a/b"], [layers["middle"], layers["lowest"]])
    assert {path: like.mode for path, like in found.items()} == {"a": 0o700}


def test_each_directory_is_looked_at_once(tmp_path: Path, layers: dict[str, int]) -> None:
    """Where a layer has not the one above, it is not asked; and so many looks are the most."""
    wide, below = 50, [layers["middle"]] * 10 + [layers["lowest"]] * 10
    deep = "/".join("d" * 20)
    for number in range(wide):
        (tmp_path / "middle" / deep / str(number)).mkdir(parents=True)
    paths = [f"{deep}/{number}" for number in range(wide)]
    looks = 20 + 20 + 19 * 10 + wide * 10  # roots, d in all, the others in those that have it
    assert len(implied.Examples(looks).find(paths, below)) == wide
    with pytest.raises(Refusal, match=f"{looks - 1} times at most; name them in the archives"):
        implied.Examples(looks - 1).find(paths, below)


def test_not_too_many_are_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, layers: dict[str, int]) -> None:
    (tmp_path / "middle/a/b/c").mkdir(parents=True)
    before = len(os.listdir("/proc/self/fd"))
    for most, fails in ((20, False), (19, True)):
        monkeypatch.setattr(bounds, "OPEN_DIRECTORIES", most)
        with pytest.raises(Refusal, match="too deep in too many layers") if fails else nullcontext():
            implied.Examples().find(["a/b/c"], [layers["middle"]] * 5)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("path", ["..", "a/../../x"])
def test_no_path_leads_out(tmp_path: Path, layers: dict[str, int], path: str) -> None:
    """The paths are what a child says that may have been talked into anything."""
    (tmp_path / "middle/a").mkdir()
    with pytest.raises(OSError, match="cross-device"):
        implied.Examples().find([path], [layers["middle"]])
