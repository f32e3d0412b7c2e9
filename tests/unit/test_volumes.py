# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes: how they are asked for, and that what is known of them is whole, whenever the service ends."""

from __future__ import annotations

import json
import os
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from mctld.bus.making import completed
from mctld.configuration import Configuration
from mctld.encoding import decode, encode
from mctld.errors import InvalidArgs, LimitReached, NameTaken, NoSuchVolume, SetupFailed, StoreFailed, VolumeInUse
from mctld.lifecycle.registry import Registry
from mctld.lifecycle.volumes import Volumes
from mctld.runtime import planner
from mctld.runtime import volumes as files
from mctld.runtime.volumes import empty
from mctld.volume import VolumeMount, check_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mctld.lifecycle.disposal import Disposal
    from mctld.spec import Spec

ALICE, BOB = 1000, 1001


class Bin:
    """In place of Disposal."""

    def __init__(self) -> None:
        self.thrown: list[str] = []

    def add(self, directory: str) -> None:
        self.thrown.append(os.path.basename(directory))


class Shop:
    def __init__(self, place: Path) -> None:
        self.place = place / "volumes"
        self.bin = Bin()
        self.users: dict[str, list[str]] = {}
        self.open()

    def open(self, most: int | None = None) -> Volumes:
        """As after a start of the service."""
        disposal: Disposal = self.bin  # type: ignore[assignment]
        self.volumes = Volumes(str(self.place), disposal, lambda identity: self.users.get(identity, []), most)
        self.volumes.recover()
        return self.volumes


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_they_are_found_again_by_their_owners(shop: Shop) -> None:
    mine = shop.volumes.create("data", ALICE, (("of", "alice"),))
    nameless = shop.volumes.create("", ALICE)
    his = shop.volumes.create("data", BOB)
    again = shop.open()
    assert again.all() == (mine, nameless, his)
    assert (again.find(ALICE, "data"), again.find(BOB, "data"), again.find(0, "data")) == (mine, his, None)
    assert (again.find(ALICE, his.id), again.find(0, his.id), again.find(ALICE, nameless.id)) == (None, his, nameless)
    assert again.find(ALICE, "") is None
    assert os.stat(shop.place / mine.id).st_mode & 0o777 == 0o700
    with pytest.raises(NameTaken, match="you have a volume 'data' already"):
        again.create("data", ALICE)


@pytest.mark.parametrize("name", ["", "-a", ".a", "a/b", "a b", "a\n", "ä", "a" * 129, "0" * 32, ".."])
def test_no_names(name: str) -> None:
    with pytest.raises(InvalidArgs, match="is not a name for a volume"):
        check_name(name)


def test_what_is_left_of_an_earlier_instance(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    whole, damaged = shop.volumes.create("whole", ALICE), shop.volumes.create("damaged", ALICE)
    (shop.place / f"making-{'1' * 32}").mkdir()
    (shop.place / f"removing-{'2' * 32}").mkdir()
    (shop.place / whole.id / "volume.json.new").write_text("{")
    (shop.place / damaged.id / "volume.json").write_text('{"id": "x"}')
    assert shop.open().all() == (whole,)
    assert shop.bin.thrown == [f"making-{'1' * 32}", f"removing-{'2' * 32}"]
    assert os.listdir(shop.place / whole.id) in (["data", "volume.json"], ["volume.json", "data"])
    assert f"{damaged.id} cannot be read" in caplog.text
    assert (shop.place / damaged.id / "data").is_dir()  # nobody's, but not gone


def test_removal(shop: Shop) -> None:
    made = shop.volumes.create("data", ALICE)
    shop.users[made.id] = [f"c{number}" for number in range(7)]
    with pytest.raises(VolumeInUse, match=r"the volume data is used by c0, c1, c2, c3, c4, \.\.\.: remove"):
        shop.volumes.remove(made)
    del shop.users[made.id]
    shop.volumes.remove(made)
    assert shop.bin.thrown == [f"removing-{made.id}"]
    assert shop.open().all() == ()


def test_a_user_has_so_many(shop: Shop) -> None:
    few = shop.open(most=2)
    for name in ("a", "b"):
        few.create(name, ALICE)
    said = r"user 1000 has 2 volumes, and may have 2 \(VolumesPerOwner= in mctld.conf\(5\)\): remove one first"
    with pytest.raises(LimitReached, match=said):
        few.create("c", ALICE)
    for name in ("a", "b", "c"):
        few.create(name, 0)


def test_settling(shop: Shop, make_spec: Callable[..., Spec]) -> None:
    there = shop.volumes.create("there", ALICE)
    asked = tuple(VolumeMount.parse(name, f"/{at}", "") for at, name in enumerate(("there", "new", "", "")))
    spec, made = shop.volumes.settle(make_spec(volumes=asked), ALICE)
    assert [mount.volume for mount in spec.volumes] == [there.id, *(volume.id for volume in made)]
    assert [volume.name for volume in made] == ["new", "", ""]
    assert decode(encode(spec)) == spec
    shop.users[made[2].id] = ["another"]
    shop.volumes.discard_nameless(spec)
    assert {volume.name or "nameless" for volume in shop.volumes.all()} == {"there", "new", "nameless"}
    before = shop.volumes.all()
    wrong = make_spec(volumes=(VolumeMount("/a", "another"), VolumeMount("/b", "0" * 32)))
    with pytest.raises(NoSuchVolume, match="of yours"):
        shop.volumes.settle(wrong, ALICE)
    assert shop.volumes.all() == before  # what was made for it is gone again
    with pytest.raises(NoSuchVolume, match="there is no volume 'empty' of yours"):
        shop.volumes.settle(make_spec(volumes=(VolumeMount("/a", "empty", subpath="web"),)), ALICE)
    part = make_spec(volumes=(VolumeMount("/a", "there", subpath="web"),))
    settled, _ = shop.volumes.settle(part, ALICE)
    assert decode(encode(settled)) == settled
    assert "show 'web' of the volume there on /a" in planner.plan(settled, last_capability=40).describe()


@pytest.mark.parametrize(("options", "why"), [
    ("exec", "option 'exec' of /data is not known"),
    ("ro,rw", "are both ro and rw"),
    ("copy,nocopy", "are both copy and nocopy"),
    ("subpath=a,subpath=b", "are both subpath=a and subpath=b"),
    *((f"subpath={path}", "is not a path in a volume") for path in ("", "/", "/a", ".", "a/..", "../a", "a/./b")),
    ("subpath=a\nb", "control character"),
    (f"subpath={'a' * 4096}", "longer than 4095 bytes"),
])  # fmt: skip
def test_options_that_are_none(options: str, why: str) -> None:
    with pytest.raises(InvalidArgs, match=why):
        VolumeMount.parse("data", "/data", options)


def test_places(make_spec: Callable[..., Spec]) -> None:
    assert VolumeMount.parse("data", "/data//x/", "ro,nocopy,z").options == "ro,nocopy"
    parts = VolumeMount.parse("data", "/data", "subpath=a//b/,ro")
    assert (parts.subpath, parts.options) == ("a/b", "ro,subpath=a/b")
    with pytest.raises(InvalidArgs, match="subpath 'a' of /data: name the volume it is in"):
        VolumeMount.parse("", "/data", "subpath=a")
    for target in ("/", "/proc", "/dev/pts/x", "relative"):
        with pytest.raises(InvalidArgs):
            VolumeMount.parse("data", target, "")
    twice = (VolumeMount("/data", "a"), VolumeMount("/data", "b"))
    with pytest.raises(InvalidArgs, match="two mounts were asked for at '/data'"):
        make_spec(volumes=twice)
    spec = make_spec(volumes=(VolumeMount("/deep/er", "a"), VolumeMount("/deep", "b")))
    told = [step.does for step in planner.plan(spec, last_capability=40).steps if "the volume" in step.does]
    assert told == ["show the volume b on /deep", "show the volume a on /deep/er"]


def image(*volumes: str) -> Configuration:
    document: dict[str, Any] = {"config": {"Cmd": ["sh"], "Volumes": {path: {} for path in volumes}}, "rootfs": {}}
    return Configuration.parse(json.dumps(document))


@pytest.mark.parametrize(("given", "wanted"), [
    ({}, [("", "/data", "")]),
    ({"Volumes": [("mine", "/data/", "ro")]}, [("mine", "/data/", "ro")]),
    ({"Tmpfs": {"/data": ""}}, []),
    ({"Mounts": [(0, "/data", "")]}, []),
    ({"Volumes": [("mine", "/other", "")]}, [("mine", "/other", ""), ("", "/data", "")]),
])  # fmt: skip
def test_what_an_image_calls_volumes(given: dict[str, Any], wanted: list[Any]) -> None:
    assert completed({"Image": "x", **given}, image("/data/"))["Volumes"] == wanted


def test_what_nobody_knows_may_be_in_use(shop: Shop) -> None:
    """A container whose description is lost keeps all of its owner's volumes."""
    hers, his = shop.volumes.create("data", ALICE), shop.volumes.create("data", BOB)

    def container(name: str, owner: int, fault: str, *volumes: str) -> SimpleNamespace:
        spec = SimpleNamespace(volumes=[VolumeMount("/x", "data", volume=identity) for identity in volumes])
        return SimpleNamespace(name=name, owner_uid=owner, record=SimpleNamespace(fault=fault), spec=spec)

    registry = Registry.__new__(Registry)
    registry._machinery = SimpleNamespace(volumes=shop.volumes)  # type: ignore[assignment]
    there = (container("user", ALICE, "", hers.id), container("lost", BOB, "unreadable"), container("other", BOB, ""))
    registry._by_name = {c.name: c for c in there}  # type: ignore[misc]
    assert (registry.made_with(hers.id), registry.made_with(his.id)) == (["user"], ["lost"])


def test_emptying_follows_no_links(tmp_path: Path) -> None:
    outside, data = tmp_path / "outside", tmp_path / "data"
    (outside / "d").mkdir(parents=True)
    (outside / "d/f").write_text("alive")
    data.mkdir()
    (data / "l").symlink_to(outside)
    (data / "d/d").mkdir(parents=True)
    (data / "d/l").symlink_to(outside / "d")
    (data / "f").write_text("x")
    empty(str(data))
    assert os.listdir(data) == []
    assert (outside / "d/f").read_text() == "alive"


class Copier:
    """In place of mounts and copies, which take a container: `seed` is what the image has."""

    def __init__(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shop = shop
        self.fills = 0
        self.during: Callable[[], None] = lambda: None
        self.shown: Callable[[int], object] = lambda _: None
        monkeypatch.setattr(files, "mounted", self.mounted)
        monkeypatch.setattr(files, "fill", self.fill)

    def mounted(self, opened: int, _view: int | None, *, read_only: bool) -> int:
        assert not read_only
        self.shown(opened)
        return 7

    def fill(self, data: str, _root: int, _target: str, _view: int | None) -> None:
        self.fills += 1
        self.put(data, "seed")
        self.during()

    def put(self, data: str, name: str) -> None:
        with open(f"{data}/{name}", "x", encoding="utf-8"):
            pass

    def mount(self, volume: Any, subpath: str = "") -> int:
        return self.shop.volumes.mount(VolumeMount("/data", "data", volume=volume.id, subpath=subpath), -1, None)

    def data(self, volume: Any) -> str:
        return f"{self.shop.place}/{volume.id}/data"


@pytest.fixture
def copier(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Copier:
    return Copier(shop, monkeypatch)


def test_nobody_writes_into_one_that_the_disk_calls_new(copier: Copier) -> None:
    """The next instance of the service would empty it."""
    volume = copier.shop.volumes.create("data", ALICE)
    obstacle = copier.shop.place / volume.id / "volume.json.new"
    obstacle.mkdir()  # as a disk that is full
    for _ in range(2):
        with pytest.raises(StoreFailed, match="the volume data could not be put to use"):
            copier.mount(volume)
    obstacle.rmdir()
    assert copier.mount(volume) == 7
    copier.put(copier.data(volume), "mine")
    copier.shop.open()
    assert copier.mount(volume) == 7
    assert (sorted(os.listdir(copier.data(volume))), copier.fills) == (["mine", "seed"], 3)
    assert sorted(os.listdir(copier.shop.place / volume.id)) == ["data", "volume.json"]


def test_a_copy_that_did_not_end_is_begun_again(copier: Copier) -> None:
    volume = copier.shop.volumes.create("data", ALICE)

    def fails() -> None:
        copier.put(copier.data(volume), "half")
        raise SetupFailed("fill", "it was not to be")

    copier.during = fails
    with pytest.raises(SetupFailed):
        copier.mount(volume)
    copier.shop.open()
    copier.during = lambda: None
    copier.mount(volume)
    assert os.listdir(copier.data(volume)) == ["seed"]


def test_what_others_have_put_there_stays(copier: Copier) -> None:
    """As in docker: only an empty volume is filled. A record may be older than what is in the volume."""
    volume = copier.shop.volumes.create("data", ALICE)
    copier.put(copier.data(volume), "mine")
    copier.mount(volume)
    assert (os.listdir(copier.data(volume)), copier.fills) == (["mine"], 0)
    assert not copier.shop.open().all()[0].fresh


def test_a_part_of_one(copier: Copier, tmp_path: Path) -> None:
    """Whoever has the rest of it may change what is on the way: nothing outside is ever shown."""
    volume = copier.shop.volumes.create("data", ALICE)
    copier.mount(volume)
    data = tmp_path / "volumes" / volume.id / "data"
    (data / "web/static").mkdir(parents=True)
    (data / "web/file").touch()
    os.mkfifo(data / "web/fifo")
    (data / "link").symlink_to("web")
    (data / "out").symlink_to(tmp_path)
    (data / "web/up").symlink_to("../..")
    shown: list[str] = []
    copier.shown = lambda opened: shown.append(os.readlink(f"/proc/self/fd/{opened}"))
    for subpath in ("web", "web/static", "web/file"):
        assert copier.mount(volume, subpath) == 7
        assert shown.pop() == f"{data}/{subpath}"
    for subpath, why in (
        ("none", "it is not there: make it first"), ("web/none/x", "it is not there"), ("web/file/x", "Not a dir"),
        ("link", "it is a symbolic link, or one leads there"), ("link/static", "symbolic"), ("out", "symbolic"),
        ("web/up/volume.json", "symbolic"), ("web/fifo", "neither a directory nor a file with content"),
    ):  # fmt: skip
        with pytest.raises(SetupFailed, match=f"could not show '{subpath}' of the volume data: .*{why}"):
            copier.mount(volume, subpath)
    assert shown == []


def test_a_part_of_a_new_one(copier: Copier) -> None:
    """It is not there; the volume stays new, and nobody sees half a copy."""
    volume = copier.shop.volumes.create("data", ALICE)

    def fails() -> None:
        os.mkdir(f"{copier.data(volume)}/web")
        raise SetupFailed("fill", "it was not to be")

    copier.during = fails
    with pytest.raises(SetupFailed):
        copier.mount(volume)
    for again in (copier.shop.volumes, copier.shop.open()):
        assert again.all()[0].fresh
        with pytest.raises(SetupFailed, match="it is not there"):
            copier.mount(volume, "web")
    copier.during = lambda: None
    copier.mount(volume)
    assert os.listdir(copier.data(volume)) == ["seed"]
    by_hand = copier.shop.volumes.create("other", ALICE)
    os.mkdir(f"{copier.data(by_hand)}/web")
    copier.mount(by_hand, "web")
    assert (copier.fills, [each.fresh for each in copier.shop.open().all()]) == (2, [False, False])


def test_one_that_is_filled_holds_up_no_other(copier: Copier) -> None:
    filled, other = (copier.shop.volumes.create(name, ALICE) for name in ("filled", "other"))
    ended, waited = [], threading.Event()
    second = threading.Thread(target=lambda: ended.append(copier.mount(filled)), daemon=True)

    def twice() -> None:
        copier.mount(other)
        copier.mount(other)
        waited.set()

    def during() -> None:
        copier.during = lambda: None
        second.start()
        threading.Thread(target=twice, daemon=True).start()
        assert waited.wait(60)
        assert not ended  # this one waits for the copy

    copier.during = during
    copier.mount(filled)
    second.join(60)
    assert (ended, copier.fills) == ([7], 2)
