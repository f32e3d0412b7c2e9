# SPDX-License-Identifier: GPL-3.0-or-later
"""Which layers on disk make up an image: those of its archives' digests that were laid upon the same as here."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from ..images import implied
from ..images.child import TREE
from ..images.implied import Examples
from ..images.layers import close_all
from .reading import read

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from contextlib import ExitStack

    from ..image import Layer
    from ..images.layout import PackedLayer
    from ..images.unpacking import Unpacked
    from .images import Images

    Made = tuple[str, Unpacked]  # a directory, and what is in it


class Stacks:
    """Of images of `uid`'s that come in together.

    implied: what each archive that is known already does not name. spare: what has been unpacked, by the archives'
    digests; `again` unpacks one once more. granted: what they could use when this began, by key. `kept` holds what is
    chosen, until the images are stored.
    """

    def __init__(
        self,
        images: Images,
        uid: int,
        kept: ExitStack,
        implied: Mapping[str, tuple[str, ...]],
        spare: Mapping[str, Made],
        again: Callable[[PackedLayer], Awaitable[Made]],
        granted: Mapping[str, Layer],
    ) -> None:
        self._images = images
        self._uid = uid
        self._kept = kept
        self._implied = {**implied, **{diff_id: unpacked.implied for diff_id, (_, unpacked) in spare.items()}}
        self._spare = dict(spare)
        self._again = again
        self._granted = granted
        self._examples = Examples()
        self._known: dict[str, Layer] = {}
        self._made: dict[str, Made] = {}

    async def settle(self, layers: Sequence[PackedLayer]) -> tuple[str, ...]:
        """Their keys; the lowest is the first."""
        keys: list[str] = []
        roots: list[int] = []  # the topmost first
        try:
            for layer in layers:
                paths = self._implied[layer.diff_id]
                like = await read(partial(self._examples.find, paths, roots)) if paths and roots else {}
                keys.append(implied.key(layer.diff_id, paths, like))
                place = await self._place(layer, keys[-1], like)
                roots.insert(0, os.open(f"{place}/{TREE}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        finally:
            close_all(roots)
        return tuple(keys)

    async def finish(self, watched: int) -> dict[str, Layer]:
        """All that was settled, by key."""
        return self._known | await self._images.finish(self._made, watched)

    async def _place(self, layer: PackedLayer, key: str, like: Mapping[str, implied.Like]) -> str:
        if key not in self._made and key not in self._known:
            self._kept.enter_context(self._images.kept(key))
            if known := self._granted.get(key) or self._images.known_to(self._uid, key):
                self._known[key] = known
            else:
                made = self._spare.pop(layer.diff_id, None) or await self._again(layer)
                await read(lambda: _adapt(made[0], like))
                self._made[key] = made
        return self._made[key][0] if key in self._made else self._images.layers.path(key)


def _adapt(directory: str, like: Mapping[str, implied.Like]) -> None:
    opened = os.open(f"{directory}/{TREE}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        implied.adapt(opened, like)
    finally:
        os.close(opened)
