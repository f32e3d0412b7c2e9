# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of skopeo, in a service of its own: what it is told, how long it may go on, what it complains of."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import BadImage, SetupFailed, TransferFailed
from ..images import blobs, skopeo
from ..images.bars import Bars
from ..images.refusal import Refusal
from ..images.room import check_room
from ..systemd import transfer
from .beside import beside

if TYPE_CHECKING:
    from collections.abc import Callable

    from .job import Job
    from .machinery import Machinery

SAMPLE = 0.5  # seconds between two looks at how much there is: nothing tells of a file that grows
GLANCE = 0.1  # seconds between two looks at what skopeo shows: not more often, whatever it writes there
COMPLAINT_MAX = 64 << 10
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
NO_AUTHENTICATION = "{}"
SECRET = ".auth.json"  # in the directory that lives as long as the machine


@dataclass(frozen=True, slots=True)
class Access:
    """authentication: a containers-auth.json(5) with the one registry's, or none. verify: TLS and its certificate."""

    authentication: str = field(default=NO_AUTHENTICATION, repr=False)
    verify: bool = True


@dataclass(frozen=True, slots=True)
class Carriage:
    """Of a job, from or into the directory `staging`. made: the one above it, which skopeo does not see."""

    machinery: Machinery
    job: Job
    access: Access
    made: str

    @property
    def staging(self) -> str:
        return f"{self.made}/{skopeo.STAGING}"

    @property
    def layout(self) -> str:
        return f"{self.staging}/{skopeo.IMAGE}"

    def begin(self) -> None:
        """A directory for skopeo's user, whoever that will be: nobody but root comes to the one above it."""
        os.mkdir(self.staging)
        os.chmod(self.staging, 0o1777)

    async def fetch(self, name: str, *rest: object) -> None:
        """By skopeo.pull, with the progress of each layer."""
        with contextlib.closing(Bars()) as bars:
            async with beside(self._watch(bars)):
                await self.run(name, "fetching", skopeo.pull, *rest, terminal=bars.path)

    async def run(
        self,
        name: str,
        state: str | None,
        command: Callable[..., list[str]],
        *rest: object,
        terminal: str | None = None,
    ) -> str:
        """Until skopeo has ended; TransferFailed in its words if it does not succeed. The file of what it has printed.

        name: of this run among the job's. state: of the job meanwhile, if this is what it waits for.
        """
        _check_installed()
        identity = f"{self.job.id}{name}"
        credential = f"{self.machinery.settings.runtime_directory}/{identity}{SECRET}"
        printed, complaints = f"{self.made}/output{name}", f"{self.made}/complaints{name}"
        path = transfer.credential_path(identity)
        words = command(*rest, transfer.PLACE, path, verify=self.access.verify)
        _write_secret(credential, self.access.authentication)
        try:
            properties = transfer.properties(
                identity, words, self.staging, credential, (printed, complaints), terminal, _proxies()
            )
            self.job.state = state or self.job.state
            await self._finished(transfer.unit_name(identity), properties)
        except SetupFailed as error:
            why = skopeo.complaint(await asyncio.to_thread(_tail, complaints)) or str(error)
            advice = skopeo.advice(why, self.job.reference, known=self.access.authentication != NO_AUTHENTICATION)
            raise TransferFailed(f"could not {self.job.kind} {self.job.reference}: {why}{advice}") from error
        except Refusal as error:
            raise BadImage(str(error)) from error
        finally:
            os.unlink(credential)
        return printed

    async def _watch(self, bars: Bars) -> None:
        while True:
            whole = await asyncio.to_thread(blobs.whole, self.layout)
            for _ in range(round(SAMPLE / GLANCE)):
                self.job.progress.fetch(bars.read(), whole)
                await asyncio.sleep(GLANCE)

    async def _finished(self, unit: str, properties: list[list[object]]) -> None:
        running = asyncio.ensure_future(self.machinery.systemd.start_transient(unit, properties))
        try:
            while not running.done():
                await asyncio.wait([running], timeout=SAMPLE)
                self.job.bytes = await asyncio.to_thread(blobs.fetched, self.layout)
                check_room(self.made)
            running.result()
        except BaseException:
            running.cancel()
            await asyncio.wait([running])
            await self.machinery.systemd.stop_rest(unit)
            raise


def _check_installed() -> None:
    if not os.access(skopeo.PROGRAM, os.X_OK):
        raise TransferFailed("registries are reached by skopeo(1), which is not installed: install that package")
    if not os.access(skopeo.POLICY, os.R_OK):
        raise TransferFailed(
            f"{skopeo.POLICY} is missing, which says whose images are trusted: see containers-policy.json(5); "
            "on Debian it comes with golang-github-containers-common, or golang-github-containers-image"
        )


def _write_secret(path: str, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def _proxies() -> dict[str, str]:
    """Of the service itself, where an administrator has given it some."""
    return {name: value for name in PROXIES if (value := os.environ.get(name, "")) and value.isprintable()}


def _tail(path: str) -> str:
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - COMPLAINT_MAX, 0))
            return file.read(COMPLAINT_MAX).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
