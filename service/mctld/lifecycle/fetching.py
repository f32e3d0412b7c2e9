# SPDX-License-Identifier: GPL-3.0-or-later
"""An image comes from a registry: what has not changed, or is here already, is not fetched."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..configuration import TEXT_MAX
from ..errors import BadImage, MctlError, TransferFailed
from ..images import blobs, bounds, layout, skopeo
from ..images.manifest import digest_of
from ..images.refusal import Refusal
from ..images.shelf import Shelf
from . import loading, reuse
from .beside import beside
from .reading import read, to_the_end
from .reuse import NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from ..image import Image
    from ..images.layout import PackedImage
    from ..platform import Platform
    from ..reference import Reference
    from .carriage import Carriage
    from .images import Images
    from .reuse import Reuse


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    reference: Reference
    uid: int
    platform: Platform
    shared: bool


class Fetching:
    """Of one image by one user."""

    def __init__(
        self, carriage: Carriage, reference: Reference, uid: int, platform: Platform, *, shared: bool
    ) -> None:
        self._carriage = carriage
        self._wanted = _Wanted(reference=reference, uid=uid, platform=platform, shared=shared)

    @property
    def _images(self) -> Images:
        return self._carriage.machinery.images

    async def run(self) -> Image:
        wanted = self._wanted
        self._carriage.begin()
        there = self._images.named(wanted.uid, wanted.reference)
        if there and wanted.shared and not there.shared:
            there = None
        if there and wanted.reference.is_digest and there.configuration.architecture == wanted.platform.architecture:
            return there
        with contextlib.ExitStack() as held:
            known = NOTHING
            if there or reuse.may_help(self._images, wanted.uid):
                configuration = await self._printed("-look", skopeo.look, wanted.reference, TEXT_MAX)
                if there and digest_of(configuration) == there.id:
                    return there
                known = await self._known(configuration, held)
            try:
                return await self._fetch(known)
            except BadImage:
                raise
            except BaseException:
                await to_the_end(asyncio.to_thread(self._keep))
                raise

    # Inside

    async def _known(self, configuration: bytes, held: ExitStack) -> Reuse:
        """Nothing where the registry's answers make no sense together: what is then fetched is judged by itself."""
        wanted = self._wanted
        with contextlib.suppress(TransferFailed, BadImage, Refusal):
            if not reuse.may_help_with(self._images, wanted.uid, layout.diff_ids(configuration)):
                return NOTHING
            found = await self._manifest("-manifest", "looking")
            packed = layout.announced(found, configuration, wanted.reference)
            return await reuse.of_the_store(self._images, wanted.uid, packed, held)
        return NOTHING

    async def _fetch(self, known: Reuse) -> Image:
        wanted, carriage = self._wanted, self._carriage
        blobs.note(carriage.made, wanted.uid)
        packed = await self._copied("", known)
        if not known.fits(packed):
            await asyncio.to_thread(shutil.rmtree, carriage.layout)
            packed, known = await self._copied("-again", NOTHING), NOTHING
        carriage.job.state = "unpacking"
        with Shelf(carriage.layout) as shelf:
            (image,) = await loading.take_in(
                self._images, shelf, [packed], wanted.uid,
                shared=wanted.shared, progress=carriage.job.progress, reused=known,
            )  # fmt: skip
        return image

    async def _copied(self, name: str, known: Reuse) -> PackedImage:
        wanted, carriage = self._wanted, self._carriage
        here = set(known.blobs)
        await to_the_end(asyncio.to_thread(lambda: here.update(self._prepare(known))))
        job, promised = carriage.job, known.packed.blobs if known.packed else ()
        job.layers_here = sum(digest in here for digest, _ in promised)
        job.progress.expect(promised, here)
        async with contextlib.nullcontext() if promised else beside(self._announce(f"{name}-layers")):
            await carriage.fetch(name, wanted.reference, wanted.platform)
        with Shelf(carriage.layout) as shelf:
            packed = await read(lambda: layout.fetched(shelf, wanted.reference))
        job.progress.have_come(packed.blobs)
        return packed

    async def _announce(self, name: str) -> None:
        """Which layers there will be. If that cannot be had the transfer itself will tell why."""
        with contextlib.suppress(MctlError, Refusal):
            self._carriage.job.progress.expect(layout.blobs_of(await self._manifest(name, None)))

    def _prepare(self, known: Reuse) -> frozenset[str]:
        """Slow: which blobs an earlier transfer has left."""
        blobs.prepare(self._carriage.layout, known.blobs)
        if known.packed is None:
            return frozenset()
        missing = {digest: size for layer in known.packed.layers if layer.promised for digest, size in [layer.promised]}
        missing = {digest: size for digest, size in missing.items() if digest not in known.blobs}
        return self._images.layers.blobs.take(self._wanted.uid, missing, self._carriage.layout)

    def _keep(self) -> None:
        self._images.layers.blobs.keep(self._wanted.uid, self._carriage.layout)

    async def _manifest(self, name: str, state: str | None) -> bytes:
        """The wanted platform's."""
        wanted, most = self._wanted, bounds.MANIFEST_BYTES
        found = await self._printed(name, skopeo.manifest, wanted.reference, most, state)
        if digest := layout.instance(found, wanted.platform):
            reference = replace(wanted.reference, tag=digest)
            found = await self._printed(f"{name}-instance", skopeo.manifest, reference, most, state)
        return found

    async def _printed(
        self,
        name: str,
        command: Callable[..., list[str]],
        reference: Reference,
        most: int,
        state: str | None = "looking",
    ) -> bytes:
        path = await self._carriage.run(name, state, command, reference, self._wanted.platform)
        return await asyncio.to_thread(_beginning, path, most)


def _beginning(path: str, most: int) -> bytes:
    """More than `most` is nothing that anybody will understand."""
    with open(path, "rb") as file:
        return file.read(most + 1)
