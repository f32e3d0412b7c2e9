# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells subscribers of images that come, change and go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import image as bus_image
from .image import ImageObject
from .paths import ROOT, image_path
from .standard import OBJECT_MANAGER, PROPERTIES

if TYPE_CHECKING:
    from dbus_next.signature import Variant

    from ..image import Image
    from .contract import Contract
    from .engine import Images
    from .signals import Herald


class ImageHerald:
    """A listener of the images. What is shared, everybody may hear of."""

    def __init__(self, herald: Herald, contract: Contract, images: Images) -> None:
        self._herald = herald
        self._interface = contract[bus_image.INTERFACE]
        self._images = images

    def added(self, image: Image) -> None:
        self._herald.tell(_hearers(image), ROOT, OBJECT_MANAGER, "InterfacesAdded", lambda: [
            image_path(image.key), {self._interface.name: self._values(image, *self._interface.properties)}
        ])  # fmt: skip

    def changed(self, image: Image) -> None:
        self._herald.tell(_hearers(image), image_path(image.key), PROPERTIES, "PropertiesChanged", lambda: [
            self._interface.name, self._values(image, "Names", "Shared"), []
        ])  # fmt: skip

    def removed(self, image: Image) -> None:
        body: list[object] = [image_path(image.key), [self._interface.name]]
        self._herald.tell(_hearers(image), ROOT, OBJECT_MANAGER, "InterfacesRemoved", lambda: body)

    def _values(self, image: Image, *names: str) -> dict[str, Variant]:
        there = ImageObject(self._images, [self._interface], image.key)
        return there.values([self._interface.properties[name] for name in names])


def _hearers(image: Image) -> frozenset[int] | None:
    return None if image.shared else frozenset((image.owner_uid,))
