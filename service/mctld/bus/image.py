# SPDX-License-Identifier: GPL-3.0-or-later
"""org.mctl1.Image: one object for each image of each owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..bounds import check_text, shown
from ..errors import InvalidArgs, UnknownObject
from ..reference import Reference
from . import openings, options
from .paths import image_path
from .question import IMAGES_ADMIN, INSPECT, Question
from .target import Target

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from dbus_next.signature import Variant

    from ..image import Image
    from .contract import Interface, Method, Property
    from .engine import Images
    from .question import Call

INTERFACE = "org.mctl1.Image"
SHARED = 1
PATH_BYTES = 4095  # PATH_MAX without the NUL
LOOKING = ("inspect", "tag", "check", "save", "export", "resolve")  # what leaves the image as it is


class ImageObject(Target):
    """Also stands for a path at which there is none: only who is authorized learns that."""

    def __init__(
        self,
        images: Images,
        interfaces: Sequence[Interface],
        key: str,
        *,
        subscribe: Callable[[Call], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(image_path(key), interfaces)
        self._images = images
        self._key = key
        self._subscribe = subscribe
        self._found = images.get(key)

    @property
    def image(self) -> Image:
        if self._found is None:
            raise UnknownObject(f"there is no image {self._key!r}")
        return self._found

    def ask(self, call: Call, actions: tuple[str, ...], args: tuple[object, ...], verb: str) -> Question:
        """What is shared may be seen and tagged by all as if it were theirs, but it is its owner's to change."""
        found = self._found
        mine = found and (found.visible_to(call.uid) if verb in LOOKING else found.owner_uid == call.uid)
        return Question(
            actions,
            args,
            verb,
            f"{verb} the image $(image)" + (" of user $(owner)" if found else ""),
            self._key,
            (call.uid if mine else found.owner_uid) if found else None,
            image_details(found) if found else {},
            found,
            lambda: self._images.get(self._key),
            noun="image",
        )

    def ask_own(self, call: Call, method: Method, args: Sequence[object]) -> Question:
        match method.name, args:
            case "Tag", [str(name), int(flags)]:
                options.check_flags(flags, {})
                return self.ask(call, (method.action,), (Reference.parse(name),), "tag")
            case "Untag", [str(name), int(flags)]:
                options.check_flags(flags, {})
                return self.ask(call, (method.action,), (Reference.parse_any(name),), "untag")
            case "Remove", [int(flags)]:
                options.check_flags(flags, {options.FORCE: "also where containers were made from it"})
                return self.ask(call, (method.action,), (bool(flags & options.FORCE),), "remove")
            case "Check", [int(flags)]:
                options.check_flags(flags, {})
                return self.ask(call, (method.action,), (), "check")
            case "Save", [int(output), int(flags)]:
                options.check_flags(flags, {})
                openings.check_output(call.fds.peek(output))
                return self.ask(call, (method.action,), (output,), "save")
            case "Export", [int(output), str(path), int(flags)]:
                options.check_flags(flags, {})
                openings.check_output(call.fds.peek(output))
                return self.ask(call, (method.action,), (output, inside(path)), "export")
            case "Resolve", [str(path)]:
                return self.ask(call, (method.action,), (inside(path),), "resolve")
            case "Share", [int(flags)]:
                options.check_flags(flags, {SHARED: "with all users"})
                return self.ask(call, (IMAGES_ADMIN,), (bool(flags & SHARED),), "share")
        return super().ask_own(call, method, args)

    def introspection_actions(self) -> tuple[str, ...]:
        return (INSPECT,)

    async def introspect(self, call: Call) -> str:
        _ = self.image  # raises where there is none
        return await super().introspect(call)

    async def get_all(self, call: Call, wanted: Sequence[Property]) -> dict[str, Variant]:
        """So begins every proxy that keeps properties: from now on it hears of their changes."""
        if self._subscribe:
            await self._subscribe(call)
        return await super().get_all(call, wanted)

    def tag(self, call: Call, reference: Reference) -> None:
        self._images.tag(self.image, call.uid, reference)

    def untag(self, call: Call, reference: Reference) -> None:
        del call
        self._images.untag(self.image, reference)

    def remove(self, call: Call, force: bool) -> None:  # noqa: FBT001 (the contract's arguments)
        self._images.remove(self.image, call.uid, force=force)

    def share(self, call: Call, shared: bool) -> None:  # noqa: FBT001
        del call
        self._images.share(self.image, shared=shared)

    async def check(self, call: Call) -> list[str]:
        return list(await self._images.damaged(self.image, call.uid))

    async def save(self, call: Call, output: int) -> None:
        await self._images.save([self.image], call.fds.peek(output), call.uid)

    async def export(self, call: Call, output: int, path: str) -> None:
        await self._images.export(self.image, path, call.fds.peek(output), call.uid)

    async def resolve(self, call: Call, path: str) -> tuple[str, str, int, int, int]:
        found = await self._images.resolve(self.image, path, call.uid)
        return found.path, found.kind, found.mode, found.uid, found.gid

    def id(self) -> str:
        return self.image.id

    def names(self) -> list[str]:
        return [str(reference) for reference in self.image.references]

    def owner_uid(self) -> int:
        return self.image.owner_uid

    def shared(self) -> bool:
        return self.image.shared

    def create_timestamp(self) -> int:
        return self.image.created_usec

    def import_timestamp(self) -> int:
        return self.image.imported_usec

    def made_here(self) -> bool:
        return self.image.made_here

    def size(self) -> int:
        return self.image.size

    def unique_size(self) -> int:
        return self._images.unique_size(self.image)

    def layers(self) -> list[str]:
        return [layer.diff_id for layer in self.image.layers]

    def layer_sizes(self) -> list[int]:
        return [layer.size for layer in self.image.layers]

    def architecture(self) -> str:
        return self.image.configuration.architecture

    def os(self) -> str:
        return self.image.configuration.os

    def entrypoint(self) -> list[str]:
        return list(self.image.configuration.entrypoint)

    def command(self) -> list[str]:
        return list(self.image.configuration.command)

    def environment(self) -> list[str]:
        return list(self.image.configuration.environment)

    def user(self) -> str:
        return self.image.configuration.user

    def working_directory(self) -> str:
        return self.image.configuration.working_directory

    def stop_signal(self) -> str:
        return self.image.configuration.stop_signal

    def labels(self) -> dict[str, str]:
        return dict(self.image.configuration.labels)

    def exposed_ports(self) -> list[str]:
        return list(self.image.configuration.exposed_ports)

    def volumes(self) -> list[str]:
        return list(self.image.configuration.volumes)

    def configuration(self) -> str:
        return self.image.configuration.text


def inside(path: str) -> str:
    check_text("path", path, PATH_BYTES)
    if not path.startswith("/"):
        raise InvalidArgs(f"path {shown(path)} is not absolute: inside the image it begins with /")
    return path


def image_details(image: Image) -> dict[str, str]:
    """What a polkit rule may judge by."""
    return {
        "container": "",
        "image": image.display_name,
        "image_digest": image.id,
        "owner": str(image.owner_uid),
        "shared": "yes" if image.shared else "no",
    }
