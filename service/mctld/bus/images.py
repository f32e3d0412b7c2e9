# SPDX-License-Identifier: GPL-3.0-or-later
"""What org.mctl1.Manager does with images."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..bounds import shown
from ..errors import InvalidArgs, NoSuchImage
from ..platform import Platform
from ..reference import Reference
from . import content, openings, options
from . import image as bus_image
from .image import ImageObject, image_details
from .making import IMPORT, configuration_maker, host_platform
from .paths import image_path
from .question import Question
from .volumes import VolumeManager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from dbus_next.signature import Variant

    from ..image import Image
    from ..lifecycle.committing import Configure
    from .codec import Encoded
    from .contract import Contract, Method
    from .engine import Registry
    from .lists import Row
    from .question import Call
    from .visible import Visible

LOAD = {"Archive": "h", "Private": "b", "Platform": "s"}
SAVED_AT_ONCE = 256  # as many as an archive that is loaded may hold
FILTER = {"OwnerUID": "u", "Names": "as"}


class ImageManager(VolumeManager):
    """The part of the manager that is about images."""

    def __init__(self, path: str, interfaces: Any, contract: Contract, registry: Registry, visible: Visible) -> None:
        super().__init__(path, interfaces, contract, registry)
        self._image = contract[bus_image.INTERFACE]
        self._visible = visible

    def ask_own(self, call: Call, method: Method, args: Sequence[object]) -> Question:
        match method.name, args:
            case "ImportImage", [str(name), dict(given), int(flags)]:
                options.check_flags(flags, {})
                return self._import(call, method, name, options.parse(given, IMPORT))
            case "LoadImages", [dict(given), int(flags)]:
                options.check_flags(flags, {})
                return self._load(call, method, options.parse(given, LOAD))
            case "DeriveImage", [str(base), dict(given), int(flags)]:
                options.check_flags(flags, {})
                return self._derivation(call, method, base, given)
            case "SaveImages", [int(output), list(keys), int(flags)]:
                options.check_flags(flags, {})
                openings.check_output(call.fds.peek(output))
                return self.ask(call, (method.action,), (output, check_names(keys)), "save")
            case "GetImage", [str(key)]:
                return self._seek(call, method, key)
            case "ListImages", [dict(given), int(flags)]:
                options.check_flags(flags, {})
                values = options.parse(given, FILTER)
                names = [Reference.parse_any(name) for name in values["Names"]] if "Names" in values else None
                return self.ask(call, (method.action,), (values.get("OwnerUID"), names), "list")
        return super().ask_own(call, method, args)

    def _load(self, call: Call, method: Method, values: Mapping[str, Any]) -> Question:
        options.required(values, "Archive")
        archive = int(values["Archive"])
        openings.check_archive(call.fds.peek(archive))
        platform = Platform.parse(values["Platform"]) if "Platform" in values else host_platform()
        shared = call.uid == 0 and not values.get("Private", False)
        return Question(
            (method.action,),
            (archive, platform, shared),
            "load",
            "load images from an archive",
            details={"owner": str(call.uid), "shared": "yes" if shared else "no"},
        )

    async def load_images(
        self,
        call: Call,
        archive: int,
        platform: Platform,
        shared: bool,  # noqa: FBT001
    ) -> list[list[object]]:
        made = await self._images.load(call.fds.peek(archive), call.uid, platform, shared=shared)
        return [[image_path(i.key), i.id, [str(reference) for reference in i.references]] for i in made]

    def _import(self, call: Call, method: Method, name: str, values: Mapping[str, Any]) -> Question:
        options.required(values, "Archive")
        archive = int(values["Archive"])
        openings.check_archive(call.fds.peek(archive))
        reference = Reference.parse(name)
        shared = call.uid == 0 and not values.get("Private", False)
        return Question(
            (method.action,),
            (reference, archive, configuration_maker(values, time.time()), shared),
            "import",
            "import the image $(image)",
            details={"image": str(reference), "owner": str(call.uid), "shared": "yes" if shared else "no"},
        )

    async def import_image(
        self,
        call: Call,
        reference: Reference,
        archive: int,
        configure: Callable[[str], str],
        shared: bool,  # noqa: FBT001 (as in the question)
    ) -> tuple[str, str, list[str]]:
        made, dropped = await self._images.bring_in(
            call.fds.peek(archive), call.uid, [reference], configure, shared=shared
        )
        warnings = [f"{dropped} device nodes were left out: containers get their devices from the service"]
        return image_path(made.key), made.id, warnings if dropped else []

    def _derivation(self, call: Call, method: Method, base: str, given: Mapping[str, Variant]) -> Question:
        names, archive, configure, private = content.deriving(call, given)
        found = self._images.find(call.uid, base) if base else None
        effect = "make the image $(reference)" if names else "make an image"
        return Question(
            (method.action,),
            (base, names, archive, configure, private),
            "derive",
            f"{effect} from $(image)" if base else effect,
            details={
                **(image_details(found) if found else {"image": base}),
                "reference": " ".join(map(str, names)),
                "owner": str(call.uid),
            },
        )

    async def derive_image(
        self,
        call: Call,
        base: str,
        references: Sequence[Reference],
        archive: int | None,
        configure: Configure,
        private: bool,  # noqa: FBT001 (as in the question)
    ) -> tuple[str, str, list[str]]:
        found = self._images.find(call.uid, base) if base else None
        if base and found is None:
            raise NoSuchImage(f"there is no image {shown(base)} that you may use")
        opened = None if archive is None else call.fds.peek(archive)
        made, left_out = await self._images.derive(found, opened, call.uid, references, configure, private=private)
        return image_path(made.key), made.id, content.warnings(left_out)

    def get_image(self, call: Call, key: str) -> str:
        found = self._images.find(call.uid, key)
        if found is None:
            raise NoSuchImage(f"there is no image {shown(key)}")
        return image_path(found.key)

    async def save_images(self, call: Call, output: int, names: Sequence[str]) -> None:
        found = [self._images.find(call.uid, name) for name in names]
        for name, image in zip(names, found, strict=True):
            if image is None:
                raise NoSuchImage(f"there is no image {shown(name)}")
        await self._images.save([image for image in found if image], call.fds.peek(output), call.uid)

    async def list_images(
        self, call: Call, owner: int | None, names: list[Reference] | None
    ) -> list[Encoded]:
        rows = [
            self._image_row(image)
            for image in await self._visible.images(call)
            if (owner is None or image.owner_uid == owner)
            and (names is None or not set(names).isdisjoint(image.references))
        ]
        return await self._lists.made(call, rows)

    def _image_rows(self, images: Iterable[Image]) -> dict[str, Row]:
        return {image_path(image.key): self._image_row(image) for image in images}

    def _image_row(self, image: Image) -> Row:
        there = ImageObject(self._images, [self._image], image.key)
        return there.read(tuple(self._image.properties.values()))

    def _seek(self, call: Call, method: Method, key: str) -> Question:
        found = self._images.find(call.uid, key)
        return Question(
            (method.action,),
            (key,),
            "inspect",
            "see the image $(image)",
            key,
            call.uid if found else None,
            image_details(found) if found else {},
            found,
            lambda: self._images.find(call.uid, key),
            noun="image",
        )


def check_names(names: Sequence[object]) -> tuple[str, ...]:
    if not names or len(names) > SAVED_AT_ONCE:
        raise InvalidArgs(f"{len(names)} images are named: one archive holds 1 to {SAVED_AT_ONCE}")
    return tuple(map(str, names))
