# SPDX-License-Identifier: GPL-3.0-or-later
"""Images from registries and to them, each a job; skopeo carries, in a service of its own."""

from __future__ import annotations

import asyncio
import os
import secrets
from typing import TYPE_CHECKING, Any, Protocol

from ..bounds import shown
from ..errors import InvalidArgs, LimitsExceeded
from ..images import policy, skopeo
from ..images.blobs import KEPT_SECONDS
from ..images.shelf import Shelf
from ..reference import check_digest
from .carriage import SECRET, Carriage
from .fetching import Fetching
from .job import DONE, Job
from .reading import read

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Mapping

    from ..image import Image
    from ..platform import Platform
    from ..reference import Reference
    from .carriage import Access
    from .machinery import Machinery

LINGER = 30.0  # seconds after its end in which a late question finds the answer
JOBS_OF_ONE = 16
REMEMBERED_OF_ONE = 256  # those that have ended a moment ago among them


class Listener(Protocol):
    """Called in the event loop; must not block or raise."""

    def removed(self, job: Any, /) -> None: ...


class Transfers:
    def __init__(self, machinery: Machinery) -> None:
        self._machinery = machinery
        self._jobs: dict[str, Job] = {}
        self._running: dict[Hashable, Job] = {}
        self._expiry: asyncio.TimerHandle | None = None
        self.listeners: list[Listener] = []

    def recover(self) -> None:
        """After a start of the service: transfers have ended with the earlier one, by BindsTo=."""
        for name in os.listdir(self._machinery.settings.runtime_directory):
            if name.endswith(SECRET):
                os.unlink(f"{self._machinery.settings.runtime_directory}/{name}")
        self._machinery.tasks.start(self._expire(), "what interrupted transfers have left")

    def get(self, identity: str) -> Job | None:
        return self._jobs.get(identity)

    def all(self) -> tuple[Job, ...]:
        return tuple(self._jobs.values())

    def is_signed(self, reference: Reference) -> bool:
        return policy.is_signed(reference)

    def pull(self, reference: Reference, uid: int, platform: Platform, access: Access, *, shared: bool) -> Job:
        """Who asks for what is under way already waits for the same. What is called by a digest never changes; but that
        may be the digest of an index for several platforms.
        """
        _check(reference)

        async def work(job: Job) -> Mapping[str, str]:
            with self._machinery.images.admitted(uid), self._machinery.images.begun() as made:
                carriage = Carriage(self._machinery, job, access, made)
                image = await Fetching(carriage, reference, uid, platform, shared=shared).run()
            return {"Key": image.key, "Id": image.id, "Name": str(reference)}

        return self._start("pull", reference, uid, (platform, access, shared), work)

    def push(self, image: Image, reference: Reference, uid: int, access: Access) -> Job:
        _check(reference)

        async def work(job: Job) -> Mapping[str, str]:
            images = self._machinery.images
            with images.admitted(uid), images.begun() as made:
                carriage = Carriage(self._machinery, job, access, made)
                carriage.begin()
                output = os.open(
                    f"{carriage.staging}/{skopeo.ARCHIVE}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                )
                try:
                    job.state = "packing"
                    os.fchmod(output, 0o644)
                    await images.save([image], output, uid)
                finally:
                    os.close(output)
                await carriage.run("", "sending", skopeo.push, reference)
                with Shelf(carriage.staging) as shelf:
                    digest = await read(lambda: shelf.read(skopeo.DIGEST, 200))
            return {"Digest": check_digest(digest.decode("ascii", "replace").strip()), "Name": str(reference)}

        return self._start("push", reference, uid, (image.id, access), work)

    async def kept(self) -> Mapping[int, int]:
        """By user: bytes that interrupted ones have left for the next."""
        return await asyncio.to_thread(self._machinery.images.layers.blobs.sizes)

    async def give_up_kept(self, uid: int | None) -> int:
        """Those of a user, or of everybody; how many bytes they had."""
        give_up, dispose = self._machinery.images.layers.give_up_kept, self._machinery.disposal.add
        return await asyncio.to_thread(give_up, uid, dispose)

    # Inside

    def _start(
        self,
        kind: str,
        reference: Reference,
        uid: int,
        rest: Hashable,
        work: Callable[[Job], Awaitable[Mapping[str, str]]],
    ) -> Job:
        key = (kind, reference, uid, rest)
        if key in self._running:
            self._running[key].share()
            return self._running[key]
        active = sum(job.owner_uid == uid and not job.has_ended for job in self._jobs.values())
        if active >= JOBS_OF_ONE:
            raise LimitsExceeded(f"{active} transfers of yours are under way, which is the most: wait for one to end")
        remembered = sum(job.owner_uid == uid for job in self._jobs.values())
        if remembered >= REMEMBERED_OF_ONE:
            raise LimitsExceeded(f"{remembered} transfers of yours have ended just now: wait half a minute")
        job = Job(_new_id(), kind, str(reference), uid)
        self._jobs[job.id] = self._running[key] = job
        task = self._machinery.relays.start(job.run(work), f"{kind} {reference}")
        task.add_done_callback(lambda _: self._ended(key, job))
        job.belongs_to(task)
        return job

    def _ended(self, key: Hashable, job: Job) -> None:
        del self._running[key]
        for listener in self.listeners:
            listener.removed(job)
        asyncio.get_running_loop().call_later(LINGER, self._jobs.pop, job.id, None)
        if job.state != DONE:
            self._expire_in(KEPT_SECONDS)

    async def _expire(self) -> None:
        left = await asyncio.to_thread(self._machinery.images.layers.blobs.expire)
        if left is not None:
            self._expire_in(left)

    def _expire_in(self, seconds: float) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        start, name = self._machinery.tasks.start, "what interrupted transfers have left"
        self._expiry = asyncio.get_running_loop().call_later(seconds, lambda: start(self._expire(), name))


def _check(reference: Reference) -> None:
    if not reference.registry:
        raise InvalidArgs(
            f"{shown(str(reference))} names no registry, and none is guessed: "
            f"say which, as in {reference.on_docker_hub}"
        )


def _new_id() -> str:
    """Hexadecimal digits, the first one a letter: so the id stands in an object path as it is."""
    return secrets.choice("abcdef") + secrets.token_hex(8)[1:]
