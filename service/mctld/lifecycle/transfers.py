# SPDX-License-Identifier: GPL-3.0-or-later
"""Images from registries and to them, each a job; skopeo carries, in a service of its own."""

from __future__ import annotations

import asyncio
import os
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ..bounds import shown
from ..configuration import TEXT_MAX
from ..errors import BadImage, InvalidArgs, LimitsExceeded, SetupFailed, TransferFailed
from ..images import layout, skopeo
from ..images.manifest import digest_of
from ..images.refusal import Refusal
from ..images.room import check_room
from ..images.shelf import Shelf
from ..reference import check_digest
from ..systemd import transfer
from . import loading
from .job import Job
from .reading import read

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Mapping

    from ..image import Image
    from ..platform import Platform
    from ..reference import Reference
    from .machinery import Machinery

LINGER = 30.0  # seconds after its end in which a late question finds the answer
JOBS_OF_ONE = 16
REMEMBERED_OF_ONE = 256  # those that have ended a moment ago among them
SAMPLE = 0.5  # seconds between two looks at how much there is: nothing tells of a file that grows
COMPLAINT_MAX = 64 << 10
ENTRIES_MAX = 1_024
OUTPUT = "output"  # what skopeo prints
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
SECRET = ".auth.json"  # in the directory that lives as long as the machine


class Listener(Protocol):
    """Called in the event loop; must not block or raise."""

    def removed(self, job: Any, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Access:
    """authentication: a containers-auth.json(5) with the one registry's, or none. verify: TLS and its certificate."""

    authentication: str = field(default="{}", repr=False)
    verify: bool = True


@dataclass(frozen=True, slots=True)
class Carriage:
    """One run of skopeo. state: of the job meanwhile."""

    identity: str
    command: Callable[..., list[str]]
    state: str


class Transfers:
    def __init__(self, machinery: Machinery) -> None:
        self._machinery = machinery
        self._jobs: dict[str, Job] = {}
        self._running: dict[Hashable, Job] = {}
        self.listeners: list[Listener] = []

    def recover(self) -> None:
        """After a start of the service: transfers have ended with the earlier one, by BindsTo=."""
        for name in os.listdir(self._machinery.settings.runtime_directory):
            if name.endswith(SECRET):
                os.unlink(f"{self._machinery.settings.runtime_directory}/{name}")

    def get(self, identity: str) -> Job | None:
        return self._jobs.get(identity)

    def all(self) -> tuple[Job, ...]:
        return tuple(self._jobs.values())

    def pull(self, reference: Reference, uid: int, platform: Platform, access: Access, *, shared: bool) -> Job:
        """Who asks for what is under way already waits for the same. What is called by a digest never changes; but that
        may be the digest of an index for several platforms.
        """
        _check(reference)

        async def work(job: Job) -> Mapping[str, str]:
            images = self._machinery.images
            with images.admitted(uid), images.begun() as made:
                place = _staging(made)
                if (there := images.named(uid, reference)) and (there.shared or not shared):
                    if reference.is_digest and there.configuration.architecture == platform.architecture:
                        return {"Key": there.key, "Id": there.id, "Name": str(reference)}
                    looking = Carriage(f"{job.id}-look", skopeo.look, "looking")
                    await self._carry(job, made, looking, access, reference, platform)
                    if await asyncio.to_thread(_digest, f"{made}/{OUTPUT}") == there.id:
                        return {"Key": there.key, "Id": there.id, "Name": str(reference)}
                await self._carry(job, made, Carriage(job.id, skopeo.pull, "fetching"), access, reference, platform)
                with Shelf(place) as shelf:
                    packed = await read(lambda: layout.fetched(shelf, skopeo.IMAGE, reference))
                    (image,) = await loading.take_in(images, shelf, [packed], uid, shared=shared, tell=job.tell_layers)
            return {"Key": image.key, "Id": image.id, "Name": str(reference)}

        return self._start("pull", reference, uid, (platform, access, shared), work)

    def push(self, image: Image, reference: Reference, uid: int, access: Access) -> Job:
        _check(reference)

        async def work(job: Job) -> Mapping[str, str]:
            images = self._machinery.images
            with images.admitted(uid), images.begun() as made:
                place = _staging(made)
                output = os.open(f"{place}/{skopeo.ARCHIVE}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC)
                try:
                    job.state = "packing"
                    os.fchmod(output, 0o644)
                    await images.save(image, output, uid)
                finally:
                    os.close(output)
                await self._carry(job, made, Carriage(job.id, skopeo.push, "sending"), access, reference)
                with Shelf(place) as shelf:
                    digest = await read(lambda: shelf.read(skopeo.DIGEST, 200))
            return {"Digest": check_digest(digest.decode("ascii", "replace").strip()), "Name": str(reference)}

        return self._start("push", reference, uid, (image.id, access), work)

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

    async def _carry(self, job: Job, made: str, what: Carriage, access: Access, *rest: object) -> None:
        """Until skopeo has ended; TransferFailed in its words if it does not succeed."""
        if not os.access(skopeo.PROGRAM, os.X_OK):
            raise TransferFailed("registries are reached by skopeo(1), which is not installed: install that package")
        if not os.access(skopeo.POLICY, os.R_OK):
            raise TransferFailed(
                f"{skopeo.POLICY} is missing, which says whose images are trusted: see containers-policy.json(5); "
                "on Debian it comes with golang-github-containers-common, or golang-github-containers-image"
            )
        credential, complaints = (
            f"{self._machinery.settings.runtime_directory}/{what.identity}{SECRET}",
            f"{made}/complaints",
        )
        unit, path = transfer.unit_name(what.identity), transfer.credential_path(what.identity)
        command = what.command(*rest, transfer.PLACE, path, verify=access.verify)
        said = f"{made}/{OUTPUT}", complaints
        _write_secret(credential, access.authentication)
        try:
            properties = transfer.properties(what.identity, command, _staging_path(made), credential, said, _proxies())
            job.state = what.state
            await self._finished(job, made, unit, properties)
        except SetupFailed as error:
            why = skopeo.complaint(await asyncio.to_thread(_tail, complaints)) or str(error)
            raise TransferFailed(f"could not {job.kind} {job.reference}: {why}") from error
        except Refusal as error:
            raise BadImage(str(error)) from error
        finally:
            os.unlink(credential)

    async def _finished(self, job: Job, made: str, unit: str, properties: list[list[object]]) -> None:
        running = asyncio.ensure_future(self._machinery.systemd.start_transient(unit, properties))
        try:
            while not running.done():
                await asyncio.wait([running], timeout=SAMPLE)
                job.bytes = await asyncio.to_thread(_bytes_below, f"{_staging_path(made)}/{skopeo.IMAGE}")
                check_room(made)
            running.result()
        except BaseException:
            running.cancel()
            await asyncio.wait([running])
            await self._machinery.systemd.stop_rest(unit)
            raise


def _check(reference: Reference) -> None:
    if not reference.registry:
        raise InvalidArgs(
            f"{shown(str(reference))} names no registry, and none is guessed: "
            f"say which, as in {reference.on_docker_hub}"
        )


def _staging_path(made: str) -> str:
    return f"{made}/transfer"


def _staging(made: str) -> str:
    """A directory for skopeo's user, whoever that will be: nobody but root comes to the one above it."""
    path = _staging_path(made)
    os.mkdir(path)
    os.chmod(path, 0o1777)
    return path


def _write_secret(path: str, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def _proxies() -> dict[str, str]:
    """Of the service itself, where an administrator has given it some."""
    return {name: value for name in PROXIES if (value := os.environ.get(name, "")) and value.isprintable()}


def _bytes_below(directory: str) -> int:
    """What has come so far; skopeo names what it writes."""
    total = 0
    try:
        with os.scandir(directory) as entries:
            for entry, _ in zip(entries, range(ENTRIES_MAX), strict=False):
                total += entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:  # not begun, or renamed just now: the next look sees it
        pass
    return total


def _digest(path: str) -> str:
    """Of a configuration that skopeo has printed; of nothing sensible where it is none."""
    with open(path, "rb") as file:
        return digest_of(file.read(TEXT_MAX + 1))


def _tail(path: str) -> str:
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - COMPLAINT_MAX, 0))
            return file.read(COMPLAINT_MAX).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def _new_id() -> str:
    """Hexadecimal digits, the first one a letter: so the id stands in an object path as it is."""
    return secrets.choice("abcdef") + secrets.token_hex(8)[1:]
