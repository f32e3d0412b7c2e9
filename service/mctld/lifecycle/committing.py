# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container's root file system holds, as an archive; and what it has changed, as a layer of a new image."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING

from ..configuration import Configuration
from ..errors import MctlError, StoreFailed
from ..image import Image, ImageRoot, digest_of
from ..images.content import Content
from ..images.layers import close_all
from ..images.merge import Layer as Source
from ..images.merge import Merge
from ..images.packer import Packer
from ..images.sink import Sink
from ..runtime import rootfs, users
from . import imageroot, resources
from .standstill import standstill
from .writing import written

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from ..image import Layer
    from ..reference import Reference
    from ..spec import Rootfs, Spec
    from ..store import Record
    from .container import Container
    from .images import Images
    from .machinery import Machinery

    # Of the text of an image's configuration (empty: there is none), a new layer's digest (None: there is none), and
    # what the container is like: the text of a new one.
    Configure = Callable[[str, str | None, Spec | None], str]

ROOT_UID = 0
# Made empty, to show ours there, as the targets of binds are.
LAID_OVER = {(b"etc", name) for name in (b"hostname", b"hosts", b"resolv.conf")}


async def export(machinery: Machinery, container: Container, output: int, uid: int, *, pause: bool) -> None:
    """All that it shows, into a file, pipe or socket of the caller's."""
    with machinery.images.leaving.of(uid):
        async with standstill(machinery, container, pause=pause), sources_of(machinery, container.record) as sources:
            merge = Merge(sources)
            what = f"container {container.name!r} could not be exported"
            await written(Sink(output), lambda write: Content(merge, Packer(write)).put_all(), what)


async def commit(
    machinery: Machinery,
    container: Container,
    uid: int,
    references: Sequence[Reference],
    configure: Configure,
    *,
    private: bool,
    pause: bool,
) -> tuple[Image, int]:
    """An image of the container's layers and what it has changed; and how many devices and sockets were left out.

    A container of a directory becomes one layer with all that it shows.
    """
    images, root = machinery.images, container.spec.rootfs
    below = root.layers if isinstance(root, ImageRoot) else ()
    base = _image_of(images, root) if isinstance(root, ImageRoot) else None
    with images.admitted(uid):
        async with AsyncExitStack() as kept:
            for key in dict.fromkeys(below):
                kept.enter_context(images.kept(key))
            async with standstill(machinery, container, pause=pause):
                layer, dropped = await _layer(machinery, container.record, kept)
            text = _text(base, [images.needed(key).diff_id for key in below])
            made = Configuration.parse(configure(text, layer.diff_id if layer else None, container.spec))
            public = not below or (base is not None and base.shared)
            shared = uid == ROOT_UID == container.owner_uid and public and not private
            layers = (*map(images.needed, below), *((layer,) if layer else ()))
            return images.add(new_image(made, uid, layers, shared=shared), *references), dropped


def new_image(made: Configuration, uid: int, layers: tuple[Layer, ...], *, shared: bool) -> Image:
    now = time.time_ns() // 1_000
    return Image(secrets.token_hex(16), digest_of(made.text), uid, shared, now, now, made, layers, made_here=True)


def _image_of(images: Images, root: ImageRoot) -> Image | None:
    """It may have been removed meanwhile. What is shared may be shared again."""
    return max((i for i in images.all() if i.id == root.image), key=lambda i: i.shared, default=None)


def _text(base: Image | None, below: Sequence[str]) -> str:
    """Without the image there are still its layers."""
    if base or not below:
        return base.configuration.text if base else ""
    return '{"rootfs":{"type":"layers","diff_ids":[' + ",".join(f'"{diff_id}"' for diff_id in below) + "]}}"


async def _layer(machinery: Machinery, record: Record, kept: AsyncExitStack) -> tuple[Layer | None, int]:
    """None: it has never been started, so that nothing can have changed."""
    root = record.spec.rootfs
    async with sources_of(machinery, record) as sources:
        mine = sources[: len(sources) - len(root.layers)] if isinstance(root, ImageRoot) else sources
        if not mine:
            return None, 0
        merge = Merge(mine, whiteouts=isinstance(root, ImageRoot))
        counted: list[Content] = []
        shown = {tuple(os.fsencode(bind.target).split(b"/")[1:]) for bind in record.spec.binds}

        def work(write: Callable[[bytes], None]) -> None:
            counted.append(Content(merge, Packer(write), LAID_OVER | shown))
            counted[0].put_all()

        layer = await _piped(machinery.images, work, kept)
        return layer, counted[0].dropped


async def _piped(images: Images, work: Callable[[Callable[[bytes], None]], None], kept: AsyncExitStack) -> Layer:
    """The archive goes to the child that unpacks all archives: a layer is made in one way only."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    sink = Sink(writing)
    task = asyncio.ensure_future(_close_after(written(sink, work, "the container could not be read"), writing))
    try:
        layer, _ = await kept.enter_async_context(images.layer(reading))
        await task
        return layer
    except BaseException:
        sink.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and isinstance(error := task.exception(), MctlError):
            raise error from None  # it says more than that the archive was cut off
        raise
    finally:
        os.close(reading)


async def _close_after(work: Awaitable[None], descriptor: int) -> None:
    try:
        await work
    finally:
        os.close(descriptor)


@asynccontextmanager
async def sources_of(machinery: Machinery, record: Record) -> AsyncIterator[list[Source]]:
    """Its layers, open, the topmost first: its own is not there before the first start."""
    directory, root = f"{machinery.settings.containers}/{record.id}", record.spec.rootfs
    with ExitStack() as opened:
        found: list[Source] = []
        with suppress(FileNotFoundError):
            upper = os.open(f"{directory}/upper", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, upper)
            found.append(Source(upper, record.uid_shift))
        if isinstance(root, ImageRoot):
            trees = imageroot.open_trees(machinery, root)
            opened.callback(close_all, trees)
            found += [Source(tree) for tree in reversed(trees)]
        else:
            lower = await _lower(machinery, record, root, directory)
            opened.callback(os.close, lower)
            found.append(Source(lower, record.uid_shift))
        yield found


async def _lower(machinery: Machinery, record: Record, root: Rootfs, directory: str) -> int:
    """The directory as the container sees it: what shows as nobody's there, the kernel keeps from us too."""
    mapped = users.only(*root.owner, record.uid_shift) if root.owner else users.whole(record.uid_shift)
    needed = root.owner is not None or record.spec.security.has_user_namespace
    with ExitStack() as opened:
        view = await machinery.spawner.user_namespace(mapped) if needed else None
        if view is not None:
            opened.callback(os.close, view)

        def shown() -> int:
            lower = rootfs.open_lower(root)
            try:
                return resources.lower_mount(record, lower, directory, view, resources.Resources())
            finally:
                os.close(lower)

        try:
            return await machinery.lanes.run(record.owner_uid, shown, opened, os.close)
        except OSError as error:
            raise StoreFailed(f"the root directory {root.path!r} could not be read: {error.strerror}") from error
