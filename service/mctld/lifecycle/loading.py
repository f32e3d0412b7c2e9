# SPDX-License-Identifier: GPL-3.0-or-later
"""From files that hold images to images of the store: all of them, or none."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import secrets
import time
from typing import TYPE_CHECKING

from ..errors import BadImage
from ..image import Image, digest_of
from ..images import layout
from ..images.child import TREE
from ..images.shelf import Shelf
from .progress import Progress
from .reading import read
from .reuse import NOTHING
from .stacks import Stacks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import ExitStack

    from ..configuration import Configuration
    from ..image import Layer
    from ..images.layout import PackedImage, PackedLayer
    from ..images.unpacking import Unpacked
    from ..platform import Platform
    from .images import Images
    from .reuse import Reuse
    from .stacks import Made

LAYERS_AT_ONCE = 4


async def load(images: Images, archive: int, uid: int, platform: Platform, *, shared: bool) -> list[Image]:
    """What `docker save`, `podman save`, `skopeo copy` and `mctl save` write. `archive` is borrowed.

    The archive itself is unpacked like a layer, by the same confined child: here nothing but its documents is read.
    """
    with images.admitted(uid), images.begun() as made:
        await images.unpack(made, archive, end_required=True)
        with Shelf(f"{made}/{TREE}") as shelf:
            packed = await read(lambda: layout.images(shelf, platform))
            return await take_in(images, shelf, packed, uid, shared=shared)


async def take_in(
    images: Images,
    shelf: Shelf,
    packed: Sequence[PackedImage],
    uid: int,
    *,
    shared: bool,
    progress: Progress | None = None,
    reused: Reuse = NOTHING,
) -> list[Image]:
    """Layers that `uid` has already are not unpacked again, if they were laid upon the same; those of `reused` are held
    by the caller, and need not be on the shelf.
    """
    progress = progress or Progress()
    wanted = {layer.diff_id: layer for image in packed for layer in image.layers}
    with contextlib.ExitStack() as begun:
        watched = begun.enter_context(images.layers.watch())
        known = {diff_id: paths for diff_id in wanted if (paths := images.implied(uid, diff_id)) is not None}
        known |= reused.implied
        missing = [wanted[d] for d in wanted if d not in known]
        progress.counts = (len(known), len(wanted))
        made = await _unpacked(images, shelf, missing, begun, progress)

        async def again(layer: PackedLayer) -> Made:
            place = begun.enter_context(images.begun())
            return place, await _layer(images, shelf, layer, place)

        stacks = Stacks(images, uid, begun, known, made, again, reused.layers)
        keys = [await stacks.settle(image.layers) for image in packed]
        layers = await stacks.finish(watched)
        return [
            images.add(_image(image, [layers[key] for key in own], uid, shared=shared))
            for image, own in zip(packed, keys, strict=True)
        ]


async def _unpacked(
    images: Images,
    shelf: Shelf,
    layers: Sequence[PackedLayer],
    begun: ExitStack,
    progress: Progress,
) -> dict[str, Made]:
    """Some side by side; the first failure ends the others."""
    places = asyncio.Semaphore(LAYERS_AT_ONCE)
    made = {layer.diff_id: begun.enter_context(images.begun()) for layer in layers}

    async def one(layer: PackedLayer) -> Unpacked:
        async with places:
            progress.unpack(layer.promised)
            found = await _layer(images, shelf, layer, made[layer.diff_id])
            progress.unpacked(layer.promised)
            return found

    try:
        async with asyncio.TaskGroup() as group:
            tasks = {layer.diff_id: group.create_task(one(layer)) for layer in layers}
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
    return {diff_id: (made[diff_id], task.result()) for diff_id, task in tasks.items()}


async def _layer(images: Images, shelf: Shelf, layer: PackedLayer, made: str) -> Unpacked:
    opened = await read(lambda: _open(shelf, layer), os.close)
    try:
        found = await images.unpack(made, opened, end_required=layer.promised is None)
    except BadImage as error:
        raise BadImage(f"the layer {layer.diff_id}: {error}") from error
    finally:
        os.close(opened)
    if found.diff_id != layer.diff_id:
        raise BadImage(f"a layer is not what the image's configuration says: {layer.diff_id}, but {found.diff_id}")
    return found


def _open(shelf: Shelf, layer: PackedLayer) -> int:
    """The file of a layer, proved if there is something to prove."""
    opened = shelf.open(layer.path)
    if layer.promised:
        try:
            shelf.check(opened, *layer.promised)
        except BaseException:
            os.close(opened)
            raise
    return opened


def _image(packed: PackedImage, layers: Sequence[Layer], uid: int, *, shared: bool) -> Image:
    text = packed.configuration.text
    return Image(
        secrets.token_hex(16), digest_of(text), uid, shared, created_usec(packed.configuration),
        time.time_ns() // 1_000, packed.configuration, tuple(layers),
        packed.references,
    )  # fmt: skip


def created_usec(configuration: Configuration) -> int:
    """0 where the image does not say, or says what is no time after 1970."""
    try:
        found = datetime.datetime.fromisoformat(configuration.created)
        return max(int(found.timestamp() * 1_000_000), 0) if found.tzinfo else 0
    except (ValueError, OverflowError):
        return 0
