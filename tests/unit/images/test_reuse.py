# SPDX-License-Identifier: GPL-3.0-or-later
"""Which layers need not be fetched: the own and the shared, laid upon the same, and only while they are there."""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from mctld.errors import BadImage
from mctld.images import blobs, layout
from mctld.images.shelf import Shelf
from mctld.lifecycle import loading, reuse
from mctld.reference import Reference

from .test_variants import ALICE, BASE, BOB, EVIL, PUBLIC, archive, shop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mctld.image import Image
    from mctld.images.layout import PackedImage

    from .test_variants import Shop

__all__ = ["shop"]
NAME = Reference.parse("example.org/box")
OCI = "application/vnd.oci.image."
TOP = archive(("new", b"new"))


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def described(kind: str, data: bytes) -> dict[str, object]:
    return {"mediaType": OCI + kind, "digest": digest(data), "size": len(data)}


def announced(*layers: bytes, shown: Sequence[bytes] = ()) -> PackedImage:
    """shown: what the manifest names in place of the layers that the configuration does."""
    configuration = json.dumps({"rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]}}).encode()
    manifest = {
        "schemaVersion": 2,
        "config": described("config.v1+json", configuration),
        "layers": [described("layer.v1.tar", layer) for layer in shown or layers],
    }
    return layout.announced(json.dumps(manifest).encode(), configuration, NAME)


class Registry:
    """`pull` fetches what need not be here, and takes it in; `meanwhile` happens between the two."""

    def __init__(self, shop: Shop, place: Path) -> None:
        self.shop = shop
        self._place = place
        self.fetched: list[bytes] = []

    def pull(self, uid: int, packed: PackedImage, *has: bytes, meanwhile: Callable[[], object] = lambda: None) -> Image:
        return asyncio.run(self._pull(uid, packed, has, meanwhile))

    async def _pull(
        self, uid: int, packed: PackedImage, has: Sequence[bytes], meanwhile: Callable[[], object]
    ) -> Image:
        images, place = self.shop.images, self._place / f"layout-{len(list(self._place.iterdir()))}"
        with ExitStack() as held:
            known = await reuse.of_the_store(images, uid, packed, held)
            blobs.prepare(str(place), known.blobs)
            self.fetched = [content for content in has if digest(content) not in known.blobs]
            for content in self.fetched:
                (place / blobs.BLOBS / digest(content)[7:]).write_bytes(content)
            meanwhile()
            with Shelf(str(place)) as shelf:
                (image,) = await loading.take_in(images, shelf, [packed], uid, shared=False, reused=known)
        return image


@pytest.fixture
def registry(shop: Shop, tmp_path: Path) -> Registry:
    return Registry(shop, tmp_path)


def test_only_what_is_new_is_fetched(registry: Registry) -> None:
    first = registry.shop.load(ALICE, "first", BASE, PUBLIC)
    image = registry.pull(ALICE, announced(BASE, PUBLIC, TOP), BASE, PUBLIC, TOP)
    assert registry.fetched == [TOP]
    assert image.layers[:2] == first.layers
    assert registry.shop.damaged(image) == []


def test_nobody_is_given_what_is_anothers(registry: Registry) -> None:
    """Whoever can name a digest to a registry of their own does not have the layer for that."""
    hers = registry.shop.load(ALICE, "hers", BASE)
    with pytest.raises(BadImage, match="lacks the file"):
        registry.pull(BOB, announced(BASE, TOP), TOP)
    assert registry.pull(0, announced(BASE, TOP), TOP).layers[0] == hers.layers[0]  # root sees all
    registry.shop.images.share(hers, shared=True)
    assert registry.pull(BOB, announced(BASE, TOP), TOP).layers[0] == hers.layers[0]


def test_what_lies_upon_something_else_is_fetched(registry: Registry) -> None:
    """PUBLIC does not name its directory, which is as the one below it."""
    registry.shop.load(ALICE, "first", BASE, PUBLIC)
    image = registry.pull(ALICE, announced(BASE, EVIL, PUBLIC), BASE, EVIL, PUBLIC)
    assert registry.fetched == [EVIL, PUBLIC]
    assert (registry.shop.mode(image, 2, "bin"), registry.shop.damaged(image)) == (0o777, [])
    registry.shop.load(ALICE, "second", BASE, TOP)
    registry.pull(ALICE, announced(TOP, PUBLIC), TOP, PUBLIC)
    assert registry.fetched == [PUBLIC]
    registry.pull(ALICE, announced(archive(("x", b"")), BASE, TOP), archive(("x", b"")))  # these are the same upon all
    assert registry.fetched == [archive(("x", b""))]


def test_what_goes_meanwhile_stays_for_it(registry: Registry) -> None:
    shop, first = registry.shop, registry.shop.load(ALICE, "first", BASE, PUBLIC)
    image = registry.pull(
        ALICE, announced(BASE, PUBLIC, TOP), TOP, meanwhile=lambda: shop.images.remove(first, ALICE, force=True)
    )
    assert (shop.images.all(), shop.damaged(image)) == ((image,), [])
    with pytest.raises(BadImage, match="lacks the file"):  # and goes when it is not needed after all
        registry.pull(ALICE, announced(BASE, TOP, EVIL), meanwhile=lambda: shop.images.remove(image, ALICE, force=True))
    assert (shop.images.all(), shop.layers.present()) == ((), set())


def test_a_manifest_that_calls_two_layers_by_one_digest(registry: Registry) -> None:
    """One of them is here: its digest would stand for the other, too."""
    registry.shop.load(ALICE, "first", BASE)
    with pytest.raises(BadImage, match="is not what the image's configuration says"):
        registry.pull(ALICE, announced(BASE, TOP, shown=(BASE, BASE)), BASE)
    assert registry.fetched == [BASE]


def test_what_is_here_is_what_the_configuration_says(registry: Registry) -> None:
    """The manifest names a blob of something else for it, which is never looked at."""
    first = registry.shop.load(ALICE, "first", BASE)
    image = registry.pull(ALICE, announced(BASE, shown=(EVIL,)))
    assert (image.layers, registry.shop.damaged(image)) == (first.layers, [])


def test_a_name_that_means_something_else_by_now(registry: Registry) -> None:
    registry.shop.load(ALICE, "first", BASE)
    seen, other, foreign = announced(BASE, TOP), announced(BASE, EVIL), announced(EVIL, TOP)

    async def known() -> reuse.Reuse:
        with ExitStack() as held:
            return await reuse.of_the_store(registry.shop.images, ALICE, seen, held)

    found = asyncio.run(known())
    assert found.blobs == {digest(BASE)}
    assert [found.fits(image) for image in (seen, other, foreign)] == [True, False, True]
    assert reuse.NOTHING.fits(other)


def test_whether_the_manifest_is_asked_for(registry: Registry) -> None:
    images = registry.shop.images
    assert not reuse.may_help(images, ALICE)
    registry.shop.load(ALICE, "first", BASE)
    assert [reuse.may_help(images, uid) for uid in (ALICE, BOB, 0)] == [True, False, True]
    ask = [(ALICE, BASE), (ALICE, TOP), (BOB, BASE)]
    assert [reuse.may_help_with(images, uid, {digest(layer)}) for uid, layer in ask] == [True, False, False]
