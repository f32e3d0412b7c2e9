# SPDX-License-Identifier: GPL-3.0-or-later
"""What a build asks of the service. Each step is a call that anybody may make."""

from __future__ import annotations

import json
import os
import secrets
import tarfile
import threading
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

from ..client import CONTAINER, IMAGE, MANAGER, PROPERTIES, ROOT, Call, unwrapped
from ..failures import FREEDESKTOP, MCTL, NEEDS_PASSWORD, Failure, UsageError
from ..origin import NO_SUCH_IMAGE, explained, names_registry
from ..relay import attend
from ..relay import container as attended
from .placing import write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..client import Client
    from ..parser import Arguments
    from .placing import Member

    Options = dict[str, tuple[str, Any]]

ATTACH, FORCE_AND_VOLUMES = 1, 1 | 2
GONE = MCTL + "NoSuchContainer"
HIDDEN = (FREEDESKTOP + "AccessDenied", NEEDS_PASSWORD)  # for whom it would be somebody else's, if it is there
PIPE_BYTES = 1 << 20
ERRORS = (2, 2)  # where both outputs of a step go


class Image:
    """What a build knows of an image: the texts of its history are what its steps were."""

    __slots__ = ("config", "history", "id", "layers")

    def __init__(self, identity: str, layers: list[str], document: dict[str, Any]) -> None:
        self.id = identity
        self.layers = layers
        self.history = [entry.get("created_by", "") for entry in document.get("history") or []]
        self.config: dict[str, Any] = document.get("config") or {}


class Service:
    def __init__(self, client: Client, arguments: Arguments, limits: Options, network: list[str] | None) -> None:
        self._client = client
        self._arguments = arguments
        self._run_options = {**limits, **({} if network is None else {"Networks": ("as", network)})}
        self.network = network[0] if network else ""  # that the caller has named
        self.container = f"build-{secrets.token_hex(6)}"  # one after the other is called so

    def reconnect(self, client: Client) -> None:
        self._client = client

    def base(self, name: str) -> Image:
        """As `mctl run` finds it, and fetches it where it is missing."""
        when = self._arguments.get("pull", "missing")
        if when == "always" and names_registry(name):
            self._fetch(name)
        try:
            return self._usable(name)
        except Failure as error:
            if error.name != NO_SUCH_IMAGE or when != "missing" or not names_registry(name):
                raise explained(error, name) from None
        self._fetch(name)
        return self.image(name)

    def image(self, name: str) -> Image:
        return self._at(self._path(name))

    def _usable(self, name: str) -> Image:
        """Nobody is asked for a password to look for it among other users' images."""
        call = Call(ROOT, MANAGER, "GetImage", "s", name)
        self._client.send(call)
        try:
            (path,) = self._client.result(call, ask=False)
        except Failure as error:
            if error.name not in HIDDEN:
                raise
            text = f"there is no image {name!r} that you may use"
            raise Failure(text, status=error.status, name=NO_SUCH_IMAGE, text=text) from None
        return self._at(path)

    def made_images(self) -> list[Image]:
        """What the caller has made here, the latest first: what was brought in says of its layers what it likes."""
        (found,) = self._client.manager("ListImages", "a{sv}t", {"OwnerUID": ("u", os.getuid())}, 0)
        made = [each for each in map(unwrapped, found) if each["MadeHere"]]
        return [_image(each) for each in sorted(made, key=lambda each: each["ImportTimestamp"], reverse=True)]

    def check_name(self, name: str) -> None:
        """Before anything is made that would then have no name."""
        if "@" in name:
            raise UsageError(f"--tag {name!r} is a digest: no image can be given one")
        self._client.manager("ListImages", "a{sv}t", {"Names": ("as", [name])}, 0)

    def tag(self, identity: str, name: str) -> None:
        self._client.call(Call(self._path(identity), IMAGE, "Tag", "st", name, 0))

    def resolve(self, identity: str, path: str) -> tuple[str, str, int, int, int]:
        where, kind, mode, uid, gid = self._client.call(Call(self._path(identity), IMAGE, "Resolve", "s", path))
        return where, kind, mode, uid, gid

    def derive(self, base: str, options: Options, members: list[Member] | None = None) -> str:
        """An image with other settings, and perhaps one more layer."""
        if members is None:
            return str(self._client.manager("DeriveImage", "sa{sv}t", base, options, 0)[1])
        reading, sending = _pipe()
        with sending, _Writing(members, sending) as writing:
            try:
                made = self._client.manager("DeriveImage", "sa{sv}t", base, {**options, "Archive": ("h", reading)}, 0)
            except Failure as error:
                os.close(reading)
                raise writing.error(error) from None
            os.close(reading)
        return str(made[1])

    @contextmanager
    def files(self, identity: str, path: str) -> Iterator[tarfile.TarFile]:
        """What an image has at a path, to be read once, from the first member to the last."""
        reading, writing = os.pipe2(os.O_CLOEXEC)
        call = Call(self._path(identity), IMAGE, "Export", "hst", writing, path, 0)
        self._client.send(call)
        os.close(writing)
        with open(reading, "rb") as stream:
            try:
                with tarfile.open(fileobj=stream, mode="r|") as archive:
                    yield archive
            except tarfile.ReadError:
                self._client.result(call)  # says why, if it is the service's doing
                raise
        with suppress(Failure):  # nobody has read it to its end
            self._client.result(call)

    def run(self, identity: str, command: list[str], options: Options, sinks: tuple[int, int]) -> int:
        """Its exit status; the container stays, to be committed or removed."""
        asked: Options = {
            "Image": ("s", identity), "Entrypoint": ("as", []), "Command": ("as", command), "Init": ("b", True),
            "HealthCommand": ("as", []), **self._run_options, **options,
        }  # fmt: skip
        path, container, streams, _ = self._client.manager("RunContainer", "sa{sv}t", self.container, asked, ATTACH)
        how, status = attend(self._client, attended(path, container), streams, sinks=sinks)
        return status if how == "exited" else 128 + status

    def commit(self, options: Options) -> str:
        call = Call(self._container_path(), CONTAINER, "Commit", "a{sv}t", options, 0)
        return str(self._client.call(call)[1])

    def remove(self) -> bool:
        """The container of a step; whether there was one."""
        try:
            self._client.call(Call(self._container_path(), CONTAINER, "Remove", "t", FORCE_AND_VOLUMES))
        except Failure as error:
            if error.name != GONE and not error.name.endswith(("UnknownObject", "AccessDenied")):
                raise
            return False
        return True

    def _container_path(self) -> str:
        from ..names import path_of

        return path_of(self.container)

    def _path(self, identity: str) -> str:
        (path,) = self._client.manager("GetImage", "s", identity)
        return str(path)

    def _at(self, path: str) -> Image:
        return _image(unwrapped(self._client.call(Call(path, PROPERTIES, "GetAll", "s", IMAGE))[0]))

    def _fetch(self, name: str) -> None:
        from ..transfers import pull

        pull(self._arguments, self._client, name)


class _Writing:
    """A layer's archive on its way, by a thread."""

    def __init__(self, members: list[Member], output: IO[bytes]) -> None:
        self._members = members
        self._output = output
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self) -> _Writing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def error(self, refused: Failure) -> Failure:
        """What went wrong here says more than that the archive was cut off."""
        self._thread.join()
        if self._failed and not isinstance(self._failed, BrokenPipeError):
            return Failure(f"the context cannot be read: {self._failed}", status=refused.status)
        return refused

    def _write(self) -> None:
        try:
            write(self._members, self._output)
        except (OSError, tarfile.TarError) as error:
            self._failed = error
        finally:
            with suppress(OSError):
                self._output.close()


def _pipe() -> tuple[int, IO[bytes]]:
    reading, writing = os.pipe2(os.O_CLOEXEC)
    return reading, open(writing, "wb", PIPE_BYTES)


def _image(properties: dict[str, Any]) -> Image:
    return Image(properties["Id"], properties["Layers"], json.loads(properties["Configuration"]))
