# SPDX-License-Identifier: GPL-3.0-or-later
"""Images made from others: one more layer, another configuration; and what files one has, for whoever does so."""

from __future__ import annotations

import os
import stat
from contextlib import AsyncExitStack, ExitStack, contextmanager
from typing import TYPE_CHECKING

from ..bounds import shown
from ..configuration import Configuration
from ..errors import InvalidArgs, StoreFailed
from ..image import Place
from ..images.content import Content
from ..images.layers import close_all
from ..images.merge import Layer as Source
from ..images.merge import Merge
from ..images.packer import Packer
from ..images.refusal import Refusal
from ..images.sink import Sink
from .committing import ROOT_UID, new_image
from .reading import told
from .writing import written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..image import Image, Layer
    from ..reference import Reference
    from .committing import Configure
    from .images import Images


async def derive(
    images: Images,
    base: Image | None,
    archive: int | None,
    uid: int,
    references: Sequence[Reference],
    configure: Configure,
    *,
    private: bool,
) -> tuple[Image, int]:
    """`base` with the archive, if there is one, as one more layer. And how many device nodes were left out."""
    below = base.layers if base else ()
    with images.admitted(uid):
        async with AsyncExitStack() as kept:
            for each in below:
                kept.enter_context(images.kept(each.key))
            added: tuple[Layer, ...] = ()
            dropped = 0
            if archive is not None:
                layer, dropped = await kept.enter_async_context(images.layer(archive))
                added = (layer,)
            if not (below or added):
                raise InvalidArgs("an image needs a layer: give a base, or an archive")
            text = configure(base.configuration.text if base else "", added[0].diff_id if added else None, None)
            shared = uid == ROOT_UID and not private and (base is None or base.shared)
            made = new_image(Configuration.parse(text), uid, (*below, *added), shared=shared)
            return images.add(made, *references), dropped


async def export(images: Images, image: Image, path: str, output: int, uid: int) -> None:
    """What the image has at a path: all below a directory, or one file."""
    with images.leaving.of(uid), images.held(image), _merge(images, image) as merge:

        def work(write: Callable[[bytes], None]) -> None:
            where, node = merge.resolve(os.fsencode(path))
            if node is None:
                raise Refusal(f"the image {image.display_name} has nothing at {shown(path)}")
            Content(merge, Packer(write)).put_below(where, node)

        await written(Sink(output), work, f"{shown(path)} could not be exported")


async def resolve(images: Images, image: Image, path: str, uid: int) -> Place:
    """Where a path leads in the image, and what is there. Whoever made the image says how long the way is."""
    lent = ExitStack()
    with lent:
        lent.enter_context(images.held(image))
        merge = lent.enter_context(_merge(images, image))
        lent = lent.pop_all()
    with told("the image"):
        where, node = await images.looking.run(uid, lambda: merge.resolve(os.fsencode(path)), lent, lambda _: None)
    resolved = "/" + b"/".join(where).decode("utf-8", "replace")
    if node is None:
        return Place(resolved)
    status, kind = node.status, "directory" if node.is_directory else "other"
    return Place(resolved, kind, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


@contextmanager
def _merge(images: Images, image: Image) -> Iterator[Merge]:
    try:
        trees = images.layers.open_trees(layer.key for layer in image.layers)
    except FileNotFoundError as error:
        raise StoreFailed(f"a layer of the image {image.display_name} is missing on the disk") from error
    try:
        yield Merge([Source(tree) for tree in reversed(trees)])
    finally:
        close_all(trees)
