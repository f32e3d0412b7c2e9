# SPDX-License-Identifier: GPL-3.0-or-later
"""An image as the service knows it, and what a container keeps of the one it was made from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .bounds import check_range
from .errors import BadImage
from .reference import check_digest

if TYPE_CHECKING:
    from .configuration import Configuration
    from .reference import Reference

LAYERS_MAX = 256


@dataclass(frozen=True, slots=True)
class Layer:
    """diff_id: the digest of its plain archive. has_root: it says what the root directory itself is like.

    variant: what it goes by where it has directories that are as those of the layers below it, images/implied.py; empty
    where it is the same upon whatever it lies.
    """

    diff_id: str
    size: int  # bytes of its files
    entries: int
    has_root: bool
    variant: str = ""

    def __post_init__(self) -> None:
        check_digest(self.diff_id)
        if self.variant:
            check_digest(self.variant)

    @property
    def key(self) -> str:
        """By which the store and the disk know it."""
        return self.variant or self.diff_id


@dataclass(frozen=True, slots=True)
class Image:
    """`owner_uid` brought it in; where it is shared all others may use it. layers: the lowest first.

    made_here: its owner has made it, by a commit or from another. What an image that was brought in says of itself, as
    how its layers came about, is nobody's word but its maker's.
    """

    key: str  # of this owner's image; others may have the same image
    id: str  # the digest of the configuration
    owner_uid: int
    shared: bool
    created_usec: int  # as the image itself says, 0 if it does not
    imported_usec: int
    configuration: Configuration
    layers: tuple[Layer, ...]
    references: tuple[Reference, ...] = ()
    made_here: bool = False

    @property
    def size(self) -> int:
        return sum(layer.size for layer in self.layers)

    @property
    def display_name(self) -> str:
        return str(self.references[0]) if self.references else self.id.removeprefix("sha256:")[:12]

    def visible_to(self, uid: int) -> bool:
        return uid in (0, self.owner_uid) or self.shared

    def nearness(self, uid: int) -> tuple[bool, bool, bool]:
        """The own before the shared, of those root's before others', before what only root may see."""
        return self.owner_uid != uid, not self.shared, self.owner_uid != 0


@dataclass(frozen=True, slots=True)
class ImageRoot:
    """The read-only layers below a container, by key, the lowest first: fixed when it is made, whatever becomes of the
    name.
    """

    path: str  # what the image was called
    image: str  # its id
    layers: tuple[str, ...]
    root_layer: int = 0  # which layer says what the root directory is like

    owner = None  # all ids of the layers show

    def __post_init__(self) -> None:
        check_digest(self.image)
        if not 1 <= len(self.layers) <= LAYERS_MAX:
            raise BadImage(f"the image has {len(self.layers)} layers: from 1 to {LAYERS_MAX} can be used")
        for layer in self.layers:
            check_digest(layer)
        check_range("root layer", self.root_layer, 0, len(self.layers) - 1)

    @classmethod
    def of(cls, image: Image, name: str) -> ImageRoot:
        speaking = [number for number, layer in enumerate(image.layers) if layer.has_root]
        layers = tuple(layer.key for layer in image.layers)
        return cls(name, image.id, layers, speaking[-1] if speaking else 0)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path leads in an image. kind: directory, other, or empty where nothing is."""

    path: str
    kind: str = ""
    mode: int = 0
    uid: int = 0
    gid: int = 0


def digest_of(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def compact(document: object) -> str:
    """JSON whose digest does not depend on who writes it."""
    return json.dumps(document, separators=(",", ":"), sort_keys=True)
