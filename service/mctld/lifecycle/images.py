# SPDX-License-Identifier: GPL-3.0-or-later
"""All images: whose they are, what they are called, how they come in and go."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from ..bounds import shown
from ..configuration import Configuration
from ..errors import BadImage, ImageInUse, InvalidArgs, LimitsExceeded, NoSuchImage, StoreFailed
from ..image import Image, ImageRoot, Layer, digest_of
from ..images.confinement import FILTER
from ..images.refusal import Refusal
from ..images.saving import digest_of_layer, save
from ..images.sink import Sink
from ..images.unpacker import unpack
from ..reference import Reference, beginning_of_id
from ..runtime import users
from . import loading

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence

    from ..images.layers import Layers
    from ..images.unpacking import Unpacked
    from ..platform import Platform
    from ..runtime.launch import Spawner
    from ..runtime.seccomp.filters import Filters
    from ..store import Store
    from .disposal import Disposal

IMPORTS_AT_ONCE = 16
IMPORTS_OF_ONE = 4
IMAGES_PER_OWNER = 1_024
BYTES_PER_OWNER = 64 << 30
ROOT_UID = 0

log = logging.getLogger(__name__)


class Listener(Protocol):
    """Called in the event loop; must not block or raise."""

    def added(self, image: Image) -> None: ...
    def removed(self, image: Image) -> None: ...
    def changed(self, image: Image) -> None: ...


class Images:
    """`users_of` gives the names of the containers that were made from an image."""

    def __init__(
        self,
        store: Store,
        layers: Layers,
        spawner: Spawner,
        filters: Filters,
        disposal: Disposal,
        users_of: Callable[[Image], Sequence[str]],
    ) -> None:
        self.layers = layers
        self._store = store
        self._catalog = store.catalog
        self._spawner = spawner
        self._filters = filters
        self._disposal = disposal
        self._users_of = users_of
        self._importing: Counter[int] = Counter()
        self._pinned: Counter[str] = Counter()  # layers of images that are about to be stored
        self._checking = asyncio.Lock()
        self.listeners: list[Listener] = []

    def recover(self) -> None:
        """After a start of the service: what an earlier one left half-made goes, what is missing is told."""
        self.layers.prepare()
        known = {layer.diff_id for layer in self._catalog.layers()}
        present = self.layers.present()
        unneeded = set() if self._store.has_guesses() else present - known  # one of these may be what nobody remembers
        for path in (*self.layers.leftovers(), *map(self.layers.take_out, unneeded)):
            self._disposal.add(path)
        for diff_id in known - present:
            log.error("layer %s is missing below /var/lib/mctl/images: its images cannot be run", diff_id)

    # What there is

    def all(self) -> tuple[Image, ...]:
        return self._catalog.all()

    def get(self, key: str) -> Image | None:
        return self._catalog.get(key)

    def find(self, uid: int, text: str) -> Image | None:
        """By name, else by id or an unambiguous beginning of one: of what `uid` may see, the own first."""
        mine = sorted((i for i in self.all() if i.visible_to(uid)), key=lambda i: _nearness(i, uid))
        with contextlib.suppress(InvalidArgs):
            wanted = Reference.parse(text)
            for name in filter(None, (wanted, wanted.on_docker_hub)):
                if found := next((i for i in mine if name in i.references), None):
                    return found
        digits = beginning_of_id(text)
        by_id = [i for i in mine if digits and i.id.removeprefix("sha256:").startswith(digits)]
        if len({i.id for i in by_id}) > 1:
            raise InvalidArgs(f"id {shown(text)} is ambiguous: several images begin with it")
        return by_id[0] if by_id else None

    def named(self, uid: int, reference: Reference) -> Image | None:
        """Of one's own, the one that is called so, if all of it is there."""
        found = next((i for i in self.all() if i.owner_uid == uid and reference in i.references), None)
        return found if found and all(self.layers.has(layer.diff_id) for layer in found.layers) else None

    def root(self, uid: int, text: str) -> tuple[ImageRoot, Configuration]:
        """What a container of `uid` is made from."""
        found = self.find(uid, text)
        if found is None:
            if beginning_of_id(text) is None:
                Reference.parse(text)  # InvalidArgs says what a name is
            raise NoSuchImage(f"there is no image {shown(text)} that you may use")
        return ImageRoot.of(found, text), found.configuration

    def unique_size(self, image: Image) -> int:
        """Bytes that no image of another id has too."""
        others = {layer.diff_id for other in self.all() if other.id != image.id for layer in other.layers}
        return sum(layer.size for layer in image.layers if layer.diff_id not in others)

    # What changes

    async def bring_in(
        self, archive: int, uid: int, references: Sequence[Reference], configure: Callable[[str], str], *, shared: bool
    ) -> tuple[Image, int]:
        """One layer from the archive; `configure` makes the configuration for its digest. And how many device nodes
        were left out.
        """
        with self.admitted(uid):
            async with self._layer(archive) as (layer, dropped):
                configuration = Configuration.parse(configure(layer.diff_id))
                now = time.time_ns() // 1_000
                made = self.add(
                    Image(
                        secrets.token_hex(16), digest_of(configuration.text), uid, shared, now, now,
                        configuration, (layer,), tuple(references),
                    )
                )  # fmt: skip
                return made, dropped

    async def load(self, archive: int, uid: int, platform: Platform, *, shared: bool) -> list[Image]:
        """All images of an archive that docker, podman, skopeo or we have written."""
        return await loading.load(self, archive, uid, platform, shared=shared)

    def tag(self, image: Image, uid: int, reference: Reference) -> Image:
        """A name of `uid`'s own: another user's image becomes one of theirs too."""
        if image.owner_uid == uid:
            return self.add(image, reference)
        self._check_room(uid)
        return self.add(
            Image(
                secrets.token_hex(16), image.id, uid, uid == ROOT_UID, image.created_usec, time.time_ns() // 1_000,
                image.configuration, image.layers,
            ),
            reference,
        )  # fmt: skip

    def untag(self, image: Image, reference: Reference) -> None:
        """Takes one of several names away."""
        if reference not in image.references:
            raise NoSuchImage(f"the image {image.display_name} is not called {reference}")
        changed = self._catalog.rename(image, [r for r in image.references if r != reference])
        for listener in self.listeners:
            listener.changed(changed)

    def remove(self, image: Image, *, force: bool) -> None:
        """With all its names. Layers that nobody needs any more go too."""
        containers = self._users_of(image)
        if containers and not force:
            raise ImageInUse(
                f"{len(containers)} containers were made from the image {image.display_name}: "
                "remove them first, or use force, which leaves them their layers"
            )
        self._catalog.remove(image)
        for listener in self.listeners:
            listener.removed(image)
        self.collect()

    def share(self, image: Image, *, shared: bool) -> None:
        changed = self._catalog.share(image, shared=shared)
        for listener in self.listeners:
            listener.changed(changed)

    async def save(self, image: Image, output: int) -> None:
        """All of it into a file, pipe or socket of the caller's. BadImage if a layer is not what it was."""
        sink = Sink(output)
        with self._held(image):
            work = asyncio.ensure_future(asyncio.to_thread(save, image, self.layers, sink.write))
            try:
                await asyncio.shield(work)
            except asyncio.CancelledError:
                sink.cancel()
                await asyncio.wait([work])
                raise
            except Refusal as error:
                raise BadImage(str(error)) from error
            except OSError as error:
                raise StoreFailed(f"the image could not be saved: {error.strerror}") from error

    async def damaged(self, image: Image) -> list[str]:
        """Which of its layers are not what they were. Reads all of them, one image after the other."""
        async with self._checking:
            with self._held(image):
                unique = dict.fromkeys(layer.diff_id for layer in image.layers)
                return [d for d in unique if not await asyncio.to_thread(self._is_whole, d)]

    def collect(self) -> None:
        """Layers that nobody needs: forgotten, out of sight, then removed behind everybody's back."""
        for diff_id in self._catalog.remove_unneeded(self._pinned):
            self._disposal.add(self.layers.take_out(diff_id))

    # For what brings several layers in

    def add(self, image: Image, *references: Reference) -> Image:
        before = {i.key: i for i in self.all()}
        stored = self._catalog.add(replace(image, references=(*image.references, *references)))
        for listener in self.listeners:
            if stored.key not in before:
                listener.added(stored)
            for changed in self.all():
                if changed.key in before and changed != before[changed.key]:
                    listener.changed(changed)
        return stored

    def known_to(self, uid: int, diff_id: str) -> Layer | None:
        """A layer of an image that `uid` may use: it need not be proved again that they have it.

        One that has got lost on the disk is not known: it comes back with the next archive that has it.
        """
        theirs = (layer.diff_id for image in self.all() if image.visible_to(uid) for layer in image.layers)
        if self.layers.has(diff_id) and diff_id in theirs:
            return self._catalog.layer(diff_id)
        return None

    @contextlib.contextmanager
    def begun(self) -> Iterator[str]:
        """A directory to make something in, which is removed unless it has become a layer."""
        made = self.layers.begin()
        try:
            yield made
        except OSError as error:
            raise StoreFailed(f"the layer could not be stored: {error.strerror}") from error
        finally:
            self._disposal.add(made)  # if it is still there

    async def unpack(self, made: str, archive: int, *, end_required: bool) -> Unpacked:
        """The archive, in a directory that has begun."""
        program = await self._filters.open(FILTER, frozenset())
        assert program is not None
        try:
            user_namespace = await self._spawner.user_namespace(users.whole(users.UNPACKING))
            try:
                return await unpack(
                    made, archive, user_namespace=user_namespace, program=program, end_required=end_required
                )
            finally:
                os.close(user_namespace)
        finally:
            os.close(program)

    async def finish(self, made: Mapping[str, tuple[str, Unpacked]]) -> dict[str, Layer]:
        """Directories and what is in them become layers. Their digests are kept by the caller."""
        await _to_the_end(asyncio.to_thread(self.layers.finish, {d: where for d, (where, _) in made.items()}))
        return {
            diff_id: self._catalog.layer(diff_id) or Layer(diff_id, found.size, found.entries, found.has_root)
            for diff_id, (_, found) in made.items()
        }

    @contextlib.contextmanager
    def kept(self, diff_id: str) -> Iterator[None]:
        """Other imports may be making the same layer: the last one that fails takes it out."""
        self._pinned[diff_id] += 1
        try:
            yield
        finally:
            self._pinned -= Counter({diff_id: 1})
            if diff_id not in self._pinned and self._catalog.layer(diff_id) is None:
                self._disposal.add(self.layers.take_out(diff_id))

    @contextlib.contextmanager
    def admitted(self, uid: int) -> Iterator[None]:
        self._check_room(uid)
        if self._importing[uid] >= IMPORTS_OF_ONE or self._importing.total() >= IMPORTS_AT_ONCE:
            raise LimitsExceeded(
                f"{self._importing[uid]} images of yours and {self._importing.total()} in all are being brought in: "
                f"the most is {IMPORTS_OF_ONE} and {IMPORTS_AT_ONCE}; wait for one to end"
            )
        self._importing[uid] += 1
        try:
            yield
        finally:
            self._importing -= Counter({uid: 1})

    # Inside

    @contextlib.asynccontextmanager
    async def _layer(self, archive: int) -> AsyncIterator[tuple[Layer, int]]:
        """On disk, and safe from collect() until the block ends."""
        with self.begun() as made:
            unpacked = await self.unpack(made, archive, end_required=True)
            with self.kept(unpacked.diff_id):
                layers = await self.finish({unpacked.diff_id: (made, unpacked)})
                yield layers[unpacked.diff_id], unpacked.dropped_devices

    @contextlib.contextmanager
    def _held(self, image: Image) -> Iterator[None]:
        """Nothing of it is removed meanwhile."""
        layers = Counter({layer.diff_id for layer in image.layers})
        self._pinned += layers
        try:
            yield
        finally:
            self._pinned -= layers
            self.collect()

    def _is_whole(self, diff_id: str) -> bool:
        try:
            return digest_of_layer(self.layers, diff_id) == diff_id
        except (OSError, Refusal) as error:
            log.warning("layer %s: %s", diff_id, error)
            return False

    def _check_room(self, uid: int) -> None:
        own = [i for i in self.all() if i.owner_uid == uid]
        if uid == ROOT_UID:
            return
        if len(own) >= IMAGES_PER_OWNER:
            raise LimitsExceeded(f"user {uid} has {len(own)} images already, the most is {IMAGES_PER_OWNER}")
        size = sum({layer.diff_id: layer.size for i in own for layer in i.layers}.values())
        if size >= BYTES_PER_OWNER:
            raise LimitsExceeded(
                f"the images of user {uid} have {size} bytes, the most is {BYTES_PER_OWNER}: remove one"
            )


def _nearness(image: Image, uid: int) -> tuple[bool, bool, bool]:
    """The own before the shared, of those root's before others', before what only root may see."""
    return image.owner_uid != uid, not image.shared, image.owner_uid != ROOT_UID


async def _to_the_end(work: Awaitable[None]) -> None:
    """A thread cannot be stopped: who is cancelled meanwhile waits for it."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
