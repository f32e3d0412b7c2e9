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
from ..errors import BadImage, ImageInUse, InvalidArgs, NoSuchImage, StoreFailed
from ..image import Image, ImageRoot, Layer, Place, digest_of
from ..images import implied
from ..images.blobs import BYTES_OF_ONE
from ..images.confinement import FILTER
from ..images.refusal import Refusal
from ..images.saving import digest_of_layer, save
from ..images.sink import Sink
from ..images.unpacker import unpack
from ..quotas import DEFAULTS, VALUE_MAX, Quotas
from ..reference import Reference, beginning_of_id
from ..runtime import users
from . import deriving, loading
from .admission import Admission
from .arrivals import Arrivals
from .lanes import LOOKS, Lanes
from .reading import to_the_end
from .writing import written

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from ..images.layers import Layers
    from ..images.unpacking import Unpacked
    from ..platform import Platform
    from ..runtime.seccomp.filters import Filters
    from ..store import Store
    from .committing import Configure
    from .disposal import Disposal
    from .spawners import Spawners

CONTAINERS_TOLD = 5
EXPORTS = 4, 64  # of one user, and in all: a thread each
ROOT_UID = 0

log = logging.getLogger(__name__)


class Listener(Protocol):
    """Called in the event loop; must not block or raise."""

    def added(self, image: Image) -> None: ...
    def removed(self, image: Image) -> None: ...
    def changed(self, image: Image) -> None: ...


class Images:
    """`users_of`: names and owners of its containers. `disposal` waits for the disk: it serves nobody else."""

    def __init__(
        self,
        store: Store,
        layers: Layers,
        spawner: Spawners,
        filters: Filters,
        disposal: Disposal,
        users_of: Callable[[Image], Sequence[tuple[str, int]]],
        quotas: Quotas = DEFAULTS,
    ) -> None:
        self.layers = layers
        self.layers.blobs.of_one = min(BYTES_OF_ONE, (quotas.image_gib or VALUE_MAX) << 30)
        self._store = store
        self._catalog = store.catalog
        self._spawner = spawner
        self._filters = filters
        self._disposal = disposal
        self._users_of = users_of
        self._arrivals = Arrivals(layers, disposal, quotas, self.all)
        self._pinned: Counter[str] = Counter()  # layers of images that are about to be stored
        self._checking = Lanes(1)  # a user's images one after the other, and nobody else's wait for them
        self.leaving = Admission(*EXPORTS, "are being written")  # as fast as they are read
        self.looking = Lanes(LOOKS)
        self.listeners: list[Listener] = []

    def recover(self) -> None:
        """After a start of the service: what an earlier one left half-made goes, what is missing is told."""
        self.layers.prepare()
        known = {layer.key for layer in self._catalog.layers()}
        for key in filter(self.layers.bring_back, known - self.layers.present()):
            log.warning("layer %s is back: a loss of power has undone the removal of its last image", key)
        present = self.layers.present()
        unneeded = set() if self._store.has_guesses() else present - known  # one of these may be what nobody remembers
        for path in self.layers.half_made():
            self.layers.blobs.rescue(path)
            self._disposal.add(path)
        for path in (*self.layers.taken_out(), *map(self.layers.take_out, unneeded)):
            self._disposal.add(path, self.layers.give_up)
        for key in known - present:
            log.error("layer %s is missing below /var/lib/mctl/images: its images cannot be run", key)

    # What there is

    def all(self) -> tuple[Image, ...]:
        return self._catalog.all()

    def get(self, key: str) -> Image | None:
        return self._catalog.get(key)

    def find(self, uid: int, text: str) -> Image | None:
        """By name, else by id or an unambiguous beginning of one: of what `uid` may see, the own first."""
        mine = sorted((i for i in self.all() if i.visible_to(uid)), key=lambda i: i.nearness(uid))
        with contextlib.suppress(InvalidArgs):
            wanted = Reference.parse_any(text)
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
        return found if found and all(self.layers.has(layer.key) for layer in found.layers) else None

    def root(self, uid: int, text: str) -> tuple[ImageRoot, Configuration]:
        """What a container of `uid` is made from."""
        found = self.find(uid, text)
        if found is None:
            if beginning_of_id(text) is None:
                Reference.parse_any(text)  # InvalidArgs says what a name is
            raise NoSuchImage(f"there is no image {shown(text)} that you may use")
        return ImageRoot.of(found, text), found.configuration

    def unique_size(self, image: Image) -> int:
        """Bytes that no image of another id has too."""
        others = {layer.key for other in self.all() if other.id != image.id for layer in other.layers}
        return sum(layer.size for layer in image.layers if layer.key not in others)

    # What changes

    async def bring_in(
        self, archive: int, uid: int, references: Sequence[Reference], configure: Callable[[str], str], *, shared: bool
    ) -> tuple[Image, int]:
        """One layer from the archive; `configure` makes the configuration for its digest. And how many device nodes
        were left out.
        """
        with self.admitted(uid):
            async with self.layer(archive) as (layer, dropped):
                configuration = Configuration.parse(configure(layer.diff_id))
                made = self.add(
                    Image(
                        secrets.token_hex(16), digest_of(configuration.text), uid, shared,
                        loading.created_usec(configuration), time.time_ns() // 1_000,
                        configuration, (layer,), tuple(references),
                    )
                )  # fmt: skip
                return made, dropped

    async def load(self, archive: int, uid: int, platform: Platform, *, shared: bool) -> list[Image]:
        """All images of an archive that docker, podman, skopeo or we have written."""
        return await loading.load(self, archive, uid, platform, shared=shared)

    def tag(self, image: Image, uid: int, reference: Reference) -> Image:
        """A name of `uid`'s own: another user's image becomes one of theirs too, and stays as shared as it was."""
        shared = uid == ROOT_UID and image.shared
        if image.owner_uid == uid:
            return self.add(image, reference)
        self._arrivals.check_room(uid)
        return self.add(
            Image(
                secrets.token_hex(16), image.id, uid, shared, image.created_usec, time.time_ns() // 1_000,
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

    def remove(self, image: Image, uid: int, *, force: bool) -> None:
        """For `uid`, with all its names. Layers that nobody needs any more go too."""
        containers = self._users_of(image)
        if containers and not force:
            raise ImageInUse(
                f"the image {image.display_name} is used by {_told(containers, uid)}: remove the container first, or "
                "`mctl rmi -f` the image, which leaves it its layers"
            )
        self._catalog.remove(image)
        for listener in self.listeners:
            listener.removed(image)
        self.collect()

    def share(self, image: Image, *, shared: bool) -> None:
        changed = self._catalog.share(image, shared=shared)
        for listener in self.listeners:
            listener.changed(changed)

    async def save(self, images: Sequence[Image], output: int, uid: int) -> None:
        """All of them into a file, pipe or socket of the caller's. BadImage if a layer is not what it was."""
        with self.leaving.of(uid), contextlib.ExitStack() as held:
            for image in images:
                held.enter_context(self.held(image))
            await written(Sink(output), lambda write: save(images, self.layers, write), "the image could not be saved")

    async def export(self, image: Image, path: str, output: int, uid: int) -> None:
        """All below a directory of it, or a file, as an archive into a file, pipe or socket of the caller's."""
        await deriving.export(self, image, path, output, uid)

    async def resolve(self, image: Image, path: str, uid: int) -> Place:
        return await deriving.resolve(self, image, path, uid)

    async def derive(
        self,
        base: Image | None,
        archive: int | None,
        uid: int,
        references: Sequence[Reference],
        configure: Configure,
        *,
        private: bool,
    ) -> tuple[Image, int]:
        return await deriving.derive(self, base, archive, uid, references, configure, private=private)

    async def damaged(self, image: Image, uid: int) -> list[str]:
        """Which of its layers are not what they were. Reads all of them, and stops after one if nobody waits for it."""
        with self.held(image):
            return [each.diff_id for each in dict.fromkeys(image.layers) if not await self._check(image, each, uid)]

    async def _check(self, image: Image, layer: Layer, uid: int) -> bool:
        with contextlib.ExitStack() as held:  # by the thread, which goes on where its caller has left
            held.enter_context(self.held(image))
            return await self._checking.run(uid, lambda: self._is_whole(layer), held, lambda _: None)

    def collect(self) -> None:
        """Layers that nobody needs: forgotten, out of sight, then removed behind everybody's back."""
        for key in self._catalog.remove_unneeded(self._pinned):
            self._disposal.add(self.layers.take_out(key), self.layers.give_up)

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

    def known_to(self, uid: int, key: str) -> Layer | None:
        """A layer of an image that `uid` may use: it need not be proved again that they have it.

        One that has got lost on the disk is not known: it comes back with the next archive that has it.
        """
        return next((layer for layer in self._theirs(uid) if layer.key == key and self.layers.has(key)), None)

    def implied(self, uid: int, diff_id: str) -> tuple[str, ...] | None:
        """The directories that the archive of such a layer does not name; None if that is not known."""
        there = {layer.key for layer in self._theirs(uid) if layer.diff_id == diff_id}
        return next((paths for key in there if (paths := self.layers.implied(key)) is not None), None)

    @contextlib.contextmanager
    def begun(self) -> Iterator[str]:
        """A directory to make something in, which is removed unless it has become a layer."""
        made = self.layers.begin()
        try:
            yield made
        except OSError as error:
            raise StoreFailed(f"the layer could not be stored: {self.layers.told(error)}") from error
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

    async def finish(self, made: Mapping[str, tuple[str, Unpacked]], watched: int) -> dict[str, Layer]:
        """Directories and what is in them become layers, by key. The keys are kept by the caller."""
        try:
            await to_the_end(asyncio.to_thread(self._finish, made, watched))
        except Refusal as error:
            raise BadImage(str(error)) from error
        return {key: self._catalog.layer(key) or _layer(key, found) for key, (_, found) in made.items()}

    @contextlib.contextmanager
    def kept(self, key: str) -> Iterator[None]:
        """Other imports may be making the same layer: the last one that fails takes it out."""
        self._pinned[key] += 1
        try:
            yield
        finally:
            self._pinned -= Counter({key: 1})
            if key not in self._pinned and self._catalog.layer(key) is None:
                self._disposal.add(self.layers.take_out(key), self.layers.give_up)

    def admitted(self, uid: int) -> AbstractContextManager[None]:
        """One more image of that user's, while the block lasts; LimitReached, LimitsExceeded."""
        return self._arrivals.admitted(uid)

    @contextlib.asynccontextmanager
    async def layer(self, archive: int) -> AsyncIterator[tuple[Layer, int]]:
        """Of the archive: on disk, and safe from collect() until the block ends; how many devices were left out."""
        with self.begun() as made, self.layers.watch() as watched:
            unpacked = await self.unpack(made, archive, end_required=True)
            key = implied.key(unpacked.diff_id, unpacked.implied, {})
            with self.kept(key):
                layers = await self.finish({key: (made, unpacked)}, watched)
                yield layers[key], unpacked.dropped_devices

    @contextlib.contextmanager
    def held(self, image: Image) -> Iterator[None]:
        """Nothing of it is removed meanwhile."""
        layers = Counter({layer.key for layer in image.layers})
        self._pinned += layers
        try:
            yield
        finally:
            self._pinned -= layers
            self.collect()

    def needed(self, key: str) -> Layer:
        """One that a container has."""
        found = self._catalog.layer(key)
        assert found is not None
        return found

    # Inside

    def _theirs(self, uid: int) -> Iterator[Layer]:
        return (layer for image in self.all() if image.visible_to(uid) for layer in image.layers)

    def _finish(self, made: Mapping[str, tuple[str, Unpacked]], watched: int) -> None:
        for where, found in made.values():
            self.layers.note(where, found.implied)
        self.layers.finish({key: (where, found.diff_id) for key, (where, found) in made.items()}, watched)

    def _is_whole(self, layer: Layer) -> bool:
        try:
            return digest_of_layer(self.layers, layer.key) == layer.diff_id
        except (OSError, Refusal) as error:
            log.warning("layer %s: %s", layer.key, error)
            return False


def _told(containers: Sequence[tuple[str, int]], uid: int) -> str:
    """Names of others' containers are nobody else's business."""
    mine = [name for name, owner in containers if uid in (ROOT_UID, owner)]
    rest = len(containers) - len(mine[:CONTAINERS_TOLD])
    more = [] if not rest else [f"{rest} more"] if mine else ["a container of another user's"]
    return ", ".join([*mine[:CONTAINERS_TOLD], *more])


def _layer(key: str, found: Unpacked) -> Layer:
    variant = key if key != found.diff_id else ""
    return Layer(found.diff_id, found.size, found.entries, found.has_root, variant)
