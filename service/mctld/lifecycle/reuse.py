# SPDX-License-Identifier: GPL-3.0-or-later
"""What of an image that is about to be fetched is here already, and need not be."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ..images import implied
from ..images.child import TREE
from ..images.implied import Examples
from ..images.layers import close_all
from .reading import read

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from contextlib import ExitStack

    from ..image import Layer
    from ..images.layout import PackedImage
    from .images import Images


@dataclass(frozen=True, slots=True)
class Reuse:
    """Of an image: layers of the store by their keys, what the archives of these imply by their digests, and digests of
    the blobs that the manifest has for them.

    What the store has under a diff_id was unpacked from an archive with that digest, and the image's configuration
    names no other: whatever blob the manifest speaks of, it can only be this. Who may use the layers is decided by
    whose they are, never by what a registry says.
    """

    packed: PackedImage | None = None
    layers: Mapping[str, Layer] = field(default_factory=dict)
    implied: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    blobs: frozenset[str] = frozenset()

    def fits(self, fetched: PackedImage) -> bool:
        """Whether that was seen, or else lacks nothing: a name may mean another image from one moment to the next."""
        same = self.packed is not None and fetched.layers == self.packed.layers
        return same or not self.blobs & {layer.promised[0] for layer in fetched.layers if layer.promised}


NOTHING = Reuse()


def may_help(images: Images, uid: int) -> bool:
    """Whether it is worth to ask for the manifest first."""
    return images.layers.blobs.has(uid) or any(image.visible_to(uid) for image in images.all())


def may_help_with(images: Images, uid: int, diff_ids: Collection[str]) -> bool:
    """The same, of a manifest whose configuration has these."""
    visible = (image for image in images.all() if image.visible_to(uid))
    there = any(layer.diff_id in diff_ids for image in visible for layer in image.layers)
    return there or images.layers.blobs.has(uid)


async def of_the_store(images: Images, uid: int, packed: PackedImage, held: ExitStack) -> Reuse:
    """Layers of images that `uid` may use, laid upon the same; they stay for as long as `held` does."""
    examples, roots = Examples(), list[int]()
    layers, paths_of, missing = dict[str, "Layer"](), dict[str, tuple[str, ...]](), set[str]()
    held.callback(images.collect)
    try:
        for layer in packed.layers:
            digest = layer.promised[0] if layer.promised else ""
            paths = images.implied(uid, layer.diff_id)
            if paths is None or (paths and missing):  # what it implies is like something that is not here yet
                missing.add(digest)
                continue
            like = await read(partial(examples.find, paths, roots)) if paths and roots else {}
            key = implied.key(layer.diff_id, paths, like)
            known = images.known_to(uid, key)
            if known is None:
                missing.add(digest)
                continue
            held.enter_context(images.kept(key))
            layers[key], paths_of[layer.diff_id] = known, paths
            roots.insert(0, os.open(f"{images.layers.path(key)}/{TREE}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    finally:
        close_all(roots)
    every = {layer.promised[0] for layer in packed.layers if layer.promised}
    return Reuse(packed, layers, paths_of, frozenset(every - missing))
