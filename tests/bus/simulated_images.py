# SPDX-License-Identifier: GPL-3.0-or-later
"""Images without layers on disk: what the bus asks for, answered from memory."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mctld.configuration import Configuration
from mctld.errors import Cancelled, ImageInUse, NoSuchImage
from mctld.image import Image, ImageRoot, Layer, Place, digest_of
from mctld.lifecycle.progress import Progress
from mctld.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mctld.lifecycle.carriage import Access
    from mctld.lifecycle.committing import Configure
    from mctld.lifecycle.images import Listener
    from mctld.lifecycle.transfers import Listener as TransferListener
    from mctld.platform import Platform
    from mctld.spec import Spec

LAYER = Layer(f"sha256:{'5' * 64}", 4096, 3, has_root=True)


class SimulatedImages:
    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self.images: dict[str, Image] = {}
        self.archives: list[bytes] = []
        self.platforms: list[Platform] = []
        self.used: set[str] = set()  # ids that containers were made from

    def add(self, key: str, owner_uid: int, *, shared: bool = False, **config: object) -> Image:
        """Called `key`:latest."""
        text = json.dumps({"config": config, "rootfs": {"type": "layers", "diff_ids": [LAYER.diff_id]}, "author": key})
        configuration = Configuration.parse(text)
        return self.put(
            Image(key, digest_of(text), owner_uid, shared, 1, 2, configuration, (LAYER,), (Reference(key),))
        )

    def all(self) -> tuple[Image, ...]:
        return tuple(self.images.values())

    def get(self, key: str) -> Image | None:
        return self.images.get(key)

    def find(self, uid: int, text: str) -> Image | None:
        return next((i for i in self.all() if i.visible_to(uid) and Reference.parse(text) in i.references), None)

    def root(self, uid: int, text: str) -> tuple[ImageRoot, Configuration]:
        found = self.find(uid, text)
        if found is None:
            raise NoSuchImage(f"there is no image {text!r} that you may use")
        return ImageRoot.of(found, text), found.configuration

    def unique_size(self, image: Image) -> int:
        return image.size

    async def bring_in(
        self, archive: int, uid: int, references: Sequence[Reference], configure: Callable[[str], str], *, shared: bool
    ) -> tuple[Image, int]:
        self.archives.append(os.read(archive, 100))
        configuration = Configuration.parse(configure(LAYER.diff_id))
        identity = digest_of(configuration.text)
        made = Image("new", identity, uid, shared, 1, 2, configuration, (LAYER,), tuple(references))
        return self.put(made), 1

    async def load(self, archive: int, uid: int, platform: Platform, *, shared: bool) -> list[Image]:
        """Two images, whatever the archive holds."""
        self.archives.append(os.read(archive, 100))
        self.platforms.append(platform)
        return [self._loaded(key, uid, shared=shared) for key in ("first", "second")]

    def _loaded(self, key: str, uid: int, *, shared: bool) -> Image:
        return self.put(replace(self.add(key, uid), shared=shared))

    def tag(self, image: Image, uid: int, reference: Reference) -> Image:
        del uid
        return self._change(replace(image, references=(*image.references, reference)))

    def untag(self, image: Image, reference: Reference) -> None:
        self._change(replace(image, references=tuple(r for r in image.references if r != reference)))

    def remove(self, image: Image, uid: int, *, force: bool) -> None:
        del uid
        if image.id in self.used and not force:
            raise ImageInUse("a container was made from it")
        del self.images[image.key]
        for listener in self.listeners:
            listener.removed(image)

    def share(self, image: Image, *, shared: bool) -> None:
        self._change(replace(image, shared=shared))

    async def damaged(self, image: Image, uid: int) -> list[str]:
        return [LAYER.diff_id] if image.id in self.used else []

    async def save(self, images: Sequence[Image], output: int, uid: int) -> None:
        os.write(output, " ".join(image.key for image in images).encode())

    async def export(self, image: Image, path: str, output: int, uid: int) -> None:
        os.write(output, f"{image.key} {path}".encode())

    async def resolve(self, image: Image, path: str, uid: int) -> Place:
        del uid
        return Place(f"/{image.key}{path}", "directory", 0o755, 1, 2)

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
        if archive is not None:
            self.archives.append(os.read(archive, 100))
        layers = (*(base.layers if base else ()), *((LAYER,) if archive is not None else ()))
        text = configure(base.configuration.text if base else "", LAYER.diff_id if archive is not None else None, None)
        configuration = Configuration.parse(text)
        return self.put(
            Image("new", digest_of(text), uid, uid == 0 and not private, 1, 2, configuration, layers, tuple(references))
        ), 0

    async def commit(
        self, ran: Spec, uid: int, references: Sequence[Reference], configure: Configure, *, private: bool
    ) -> tuple[Image, int]:
        """Of a container that has no image, and has left a socket."""
        made, _ = await self.derive(
            None, None, uid, references, lambda text, _, __: configure(text, LAYER.diff_id, ran), private=private
        )
        return made, 1

    def put(self, image: Image) -> Image:
        self.images[image.key] = image
        for listener in self.listeners:
            listener.added(image)
        return image

    def _change(self, image: Image) -> Image:
        self.images[image.key] = image
        for listener in self.listeners:
            listener.changed(image)
        return image


@dataclass(eq=False)
class SimulatedJob:
    """Ends when the test says so."""

    id: str
    kind: str
    reference: str
    owner_uid: int
    state: str = "fetching"
    bytes: int = 7
    layers_here: int = 3
    progress: Progress = field(default_factory=Progress)
    result: dict[str, str] = field(default_factory=dict)

    async def wait(self) -> dict[str, str]:
        if self.state == "cancelled":
            raise Cancelled("it was cancelled")
        return self.result

    async def cancel(self) -> None:
        self.state = "cancelled"


class SimulatedTransfers:
    def __init__(self) -> None:
        self.listeners: list[TransferListener] = []
        self.jobs: dict[str, SimulatedJob] = {}
        self.access: list[Access] = []
        self.left: dict[int, int] = {}

    def add(
        self, identity: str, owner_uid: int, kind: str = "pull", reference: str = "example.org/web:1"
    ) -> SimulatedJob:
        self.jobs[identity] = SimulatedJob(identity, kind, reference, owner_uid)
        return self.jobs[identity]

    def is_signed(self, reference: Reference) -> bool:
        return reference.registry == "docker.io"

    def get(self, identity: str) -> SimulatedJob | None:
        return self.jobs.get(identity)

    def all(self) -> tuple[SimulatedJob, ...]:
        return tuple(self.jobs.values())

    def pull(self, reference: Reference, uid: int, platform: Platform, access: Access, *, shared: bool) -> SimulatedJob:
        self.access.append(access)
        made = self.add("abc", uid, "pull", str(reference))
        made.result = {"Key": "key", "Id": f"{platform} {shared}"}
        return made

    def push(self, image: Image, reference: Reference, uid: int, access: Access) -> SimulatedJob:
        self.access.append(access)
        made = self.add("abc", uid, "push", str(reference))
        made.result = {"Digest": image.id}
        return made

    async def kept(self) -> dict[int, int]:
        return self.left

    async def give_up_kept(self, uid: int | None) -> int:
        gone = [user for user in self.left if uid in (None, user)]
        return sum(self.left.pop(user) for user in gone)

    def end(self, job: SimulatedJob, state: str) -> None:
        job.state = state
        for listener in self.listeners:
            listener.removed(job)
