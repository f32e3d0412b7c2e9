# SPDX-License-Identifier: GPL-3.0-or-later
"""The same layer upon other layers is another on disk: nobody's directories show in anybody else's image."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import tarfile
import threading
from collections import Counter
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from mctld.errors import ImageInUse
from mctld.ids import Ids
from mctld.image import ImageRoot
from mctld.images.child import REPLACED, SKELETON, TREE
from mctld.images.layers import Layers
from mctld.images.saving import digest_of_layer, save
from mctld.images.unpacking import Unpacked, Unpacking
from mctld.lifecycle import images
from mctld.lifecycle.images import Images
from mctld.platform import Platform
from mctld.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mctld.image import Image

ALICE, BOB = 1000, 1001


def archive(*members: tuple[str, bytes | int]) -> bytes:
    """A name with a directory's mode, or with a file's content."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for name, what in members:
            entry = tarfile.TarInfo(name)
            entry.uid, entry.gid = os.geteuid(), os.getegid()
            if isinstance(what, int):
                entry.type, entry.mode = tarfile.DIRTYPE, what
                made.addfile(entry)
            else:
                entry.size = len(what)
                made.addfile(entry, io.BytesIO(what))
    return out.getvalue()


def packed(name: str, *layers: bytes) -> bytes:
    """As docker save writes it."""
    digests = [hashlib.sha256(layer).hexdigest() for layer in layers]
    configuration = {
        "config": {"Cmd": [name]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{d}" for d in digests]},
    }
    document = [{"Config": "config", "RepoTags": [f"{name}:1"], "Layers": digests}]
    texts = [
        (title, json.dumps(text).encode()) for title, text in (("config", configuration), ("manifest.json", document))
    ]
    return archive(*dict(zip(digests, layers, strict=True)).items(), *texts)


class Shop:
    """All but the child without rights: archives are unpacked by this process. unpacked: how often each was."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = Store(str(place / "db"), Ids(1_000_000, 65_536, 10))
        self.layers = Layers(str(place / "images"))
        self.unpacked: Counter[str] = Counter()
        nobody: Any = None
        self.thrown: list[str] = []
        disposal: Any = type("Bin", (), {"add": lambda _, path, *__: self.thrown.append(path)})()
        self.images = Images(self.store, self.layers, nobody, nobody, disposal, lambda _: ())
        self.images.recover()
        monkeypatch.setattr(self.images, "unpack", self._unpack)

    async def _unpack(self, made: str, opened: int, *, end_required: bool) -> Unpacked:
        for name in (TREE, REPLACED):
            os.mkdir(f"{made}/{name}")
        tree, replaced = (os.open(f"{made}/{name}", os.O_RDONLY | os.O_DIRECTORY) for name in (TREE, REPLACED))
        before = os.umask(0)
        try:
            with open(f"{made}/{SKELETON}", "wb") as skeleton:
                found = Unpacking(
                    lambda n: os.read(opened, n), tree, replaced, skeleton.write, end_required=end_required
                ).run()
        finally:
            os.umask(before)
            for each in (tree, replaced):
                os.close(each)
        self.unpacked[found.diff_id] += 1
        return found

    def load(self, uid: int, name: str, *layers: bytes) -> Image:
        (made,) = asyncio.run(self._load(uid, packed(name, *layers)))
        return made

    async def _load(self, uid: int, data: bytes) -> Sequence[Image]:
        opened = os.memfd_create("archive")
        try:
            os.write(opened, data)
            os.lseek(opened, 0, os.SEEK_SET)
            return await self.images.load(opened, uid, Platform("linux", "amd64"), shared=False)
        finally:
            os.close(opened)

    def mode(self, image: Image, number: int, path: str) -> int:
        key = ImageRoot.of(image, "x").layers[number]
        return os.stat(f"{self.layers.path(key)}/{TREE}/{path}").st_mode & 0o7777

    def damaged(self, image: Image) -> list[str]:
        return asyncio.run(self.images.damaged(image, image.owner_uid))


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    made = Shop(tmp_path, monkeypatch)
    with closing(made.store):
        yield made


BASE = archive(("bin", 0o755), ("bin/sh", b"sh"))
EVIL = archive(("bin", 0o777))
PUBLIC = archive(("bin/tool", b"genuine"))
NAMING = archive(("bin", 0o711), ("bin/tool", b"genuine"))


def test_whoever_comes_first_decides_for_nobody_else(shop: Shop) -> None:
    hers = shop.load(ALICE, "evil", BASE, EVIL, PUBLIC)
    his, roots = shop.load(BOB, "good", BASE, PUBLIC), shop.load(0, "good", BASE, PUBLIC)
    assert (shop.mode(hers, 2, "bin"), shop.mode(his, 1, "bin"), shop.mode(roots, 1, "bin")) == (0o777, 0o755, 0o755)
    assert [layer.diff_id for layer in his.layers] == list(his.configuration.diff_ids)
    assert his.layers == roots.layers  # on disk once
    for image in (hers, his):
        assert shop.damaged(image) == []
    saved = io.BytesIO()
    save([his], shop.layers, cast("Any", saved.write))  # with the archives' own digests, proved
    with tarfile.open(fileobj=io.BytesIO(saved.getvalue())) as opened:
        names = opened.getnames()
    assert {f"blobs/sha256/{hashlib.sha256(layer).hexdigest()}" for layer in (BASE, PUBLIC)} <= set(names)


def test_a_layer_that_one_has_is_not_unpacked_again(shop: Shop) -> None:
    first = shop.load(ALICE, "first", BASE, PUBLIC)
    before = shop.unpacked.copy()
    again = shop.load(ALICE, "again", BASE, PUBLIC, archive(("x", b"")))
    digests = [layer.diff_id for layer in first.layers]
    assert again.layers[:2] == first.layers
    assert [shop.unpacked[d] for d in digests] == [before[d] for d in digests]
    other = shop.load(ALICE, "other", BASE, EVIL, PUBLIC)  # upon something else it is
    assert [shop.unpacked[d] - before[d] for d in digests] == [0, 1]
    assert (shop.mode(other, 2, "bin"), shop.mode(first, 1, "bin")) == (0o777, 0o755)


def test_one_image_may_have_a_layer_twice(shop: Shop) -> None:
    image = shop.load(ALICE, "twice", BASE, PUBLIC, EVIL, PUBLIC)
    assert [shop.mode(image, number, "bin") for number in (1, 3)] == [0o755, 0o777]
    assert len({layer.key for layer in image.layers}) == 4
    assert shop.damaged(image) == []
    with open(f"{shop.layers.path(image.layers[3].key)}/{TREE}/bin/tool", "r+b") as file:
        file.write(b"x")
    assert shop.damaged(image) == [image.layers[3].diff_id]


def test_what_an_older_version_has_brought_in_is_used_where_it_is_right(shop: Shop, tmp_path: Path) -> None:
    """It has kept nothing of what a layer implies, and called each by its archive's digest alone."""
    before = shop.load(ALICE, "naming", BASE, NAMING)
    assert [layer.key for layer in before.layers] == list(before.configuration.diff_ids)
    for layer in before.layers:
        os.unlink(f"{shop.layers.path(layer.key)}/implied")
    inodes = {layer: os.stat(shop.layers.path(layer.key)).st_ino for layer in before.layers}
    after = shop.load(ALICE, "after", BASE, NAMING)
    assert {layer: os.stat(shop.layers.path(layer.key)).st_ino for layer in after.layers} == inodes
    assert sorted(os.listdir(tmp_path / "images/layers")) == sorted(layer.key[7:] for layer in after.layers)


def test_an_image_that_comes_again_is_laid_anew(shop: Shop) -> None:
    """So that pulling it mends what an older version may have laid upon somebody else's directories."""
    made = shop.load(ALICE, "app", BASE, PUBLIC)
    old = replace(made.layers[1], variant="")
    os.rename(shop.layers.path(made.layers[1].key), shop.layers.path(old.key))
    os.unlink(f"{shop.layers.path(old.key)}/implied")
    os.chmod(f"{shop.layers.path(old.key)}/{TREE}/bin", 0o777)
    poisoned = shop.store.catalog.add(replace(made, layers=(made.layers[0], old)))
    assert shop.mode(poisoned, 1, "bin") == 0o777
    again = shop.load(ALICE, "app", BASE, PUBLIC)
    assert (again.key, again.layers, shop.mode(again, 1, "bin")) == (made.key, made.layers, 0o755)
    shop.images.collect()
    assert not shop.layers.has(old.key)


def test_the_store_remembers_variants(shop: Shop, tmp_path: Path) -> None:
    image = shop.load(ALICE, "app", BASE, PUBLIC)
    with closing(Store(str(tmp_path / "db"), Ids(1_000_000, 65_536, 10))) as again:
        assert again.catalog.all() == (image,)
    for left in ("db", "db-wal", "db-shm"):
        (tmp_path / left).unlink(missing_ok=True)
    with closing(Store(str(tmp_path / "db"), Ids(1_000_000, 65_536, 10))) as rebuilt:  # from the copies
        assert rebuilt.catalog.all() == (image,)


def test_a_removal_that_a_loss_of_power_has_undone(shop: Shop) -> None:
    """The database says again that the image is there, as if nothing had been removed."""
    image = shop.load(1000, "base", BASE)
    shop.layers.take_out(image.layers[0].key)
    assert shop.damaged(image) == [image.layers[0].diff_id]
    shop.images.recover()
    assert shop.damaged(image) == []


def test_who_uses_an_image_is_told_to_whom_it_concerns(shop: Shop) -> None:
    users: list[tuple[str, int]] = []
    shop.images._users_of = lambda _: users
    image = shop.load(ALICE, "base", BASE)
    for uid, given, said in (
        (ALICE, ["web"], "used by web: remove the container first, or `mctl rmi -f` the image"),
        (BOB, ["web"], "used by a container of another user's: remove"),
        (0, ["web", "db"], "used by web, db: remove"),
        (ALICE, list("abcdefg"), "used by a, b, c, d, e, 2 more: remove"),
    ):
        users[:] = [(name, ALICE) for name in given]
        with pytest.raises(ImageInUse, match=f"the image base:1 is {said}"):
            shop.images.remove(image, uid, force=False)
    users.append(("his", BOB))
    with pytest.raises(ImageInUse, match="used by a, b, c, d, e, 3 more: remove"):
        shop.images.remove(image, ALICE, force=False)
    shop.images.remove(image, ALICE, force=True)
    assert shop.images.all() == ()


def test_a_check_that_takes_long_is_nobody_elses_wait(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a big image, or one on a slow disk: others' checks go on beside it, and its user's own after it."""
    hers, his = shop.load(ALICE, "big", BASE, PUBLIC), shop.load(BOB, "small", EVIL)
    slow, begun = threading.Event(), list[str]()
    whole = digest_of_layer

    def digest(layers: Layers, key: str) -> str:
        begun.append(key)
        if key in {layer.key for layer in hers.layers}:
            assert slow.wait(60)
        return whole(layers, key)

    monkeypatch.setattr(images, "digest_of_layer", digest)

    async def play() -> None:
        first, second = (asyncio.create_task(shop.images.damaged(hers, ALICE)) for _ in range(2))
        async with asyncio.timeout(30):
            while not begun:
                await asyncio.sleep(0.001)
            assert await shop.images.damaged(his, BOB) == []
        assert len(begun) == 1 + len(his.layers)  # one of hers
        slow.set()
        assert await first == await second == []

    asyncio.run(play())
