# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests and indexes of OCI and docker, read with suspicion: each is what its descriptor says, or refused.

https://github.com/opencontainers/image-spec/blob/main/manifest.md, image-index.md
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import InvalidArgs
from ..image import LAYERS_MAX
from ..platform import Platform
from ..reference import check_digest
from . import bounds
from .refusal import Refusal, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

OCI, DOCKER = "application/vnd.oci.image.", "application/vnd.docker."
INDEXES = {f"{OCI}index.v1+json", f"{DOCKER}distribution.manifest.list.v2+json"}
MANIFESTS = {f"{OCI}manifest.v1+json", f"{DOCKER}distribution.manifest.v2+json"}
CONFIGS = {f"{OCI}config.v1+json", f"{DOCKER}container.image.v1+json"}
LAYERS = {
    f"{OCI}layer.v1.tar", f"{OCI}layer.v1.tar+gzip", f"{OCI}layer.v1.tar+zstd",
    f"{DOCKER}image.rootfs.diff.tar", f"{DOCKER}image.rootfs.diff.tar.gzip", f"{DOCKER}image.rootfs.diff.tar.zstd",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Descriptor:
    kind: str
    digest: str
    size: int
    platform: Platform | None = None
    name: str = ""  # where an index gives its entry one

    @property
    def path(self) -> str:
        return f"blobs/sha256/{self.digest.removeprefix('sha256:')}"


@dataclass(frozen=True, slots=True)
class Manifest:
    config: Descriptor
    layers: tuple[Descriptor, ...]


def document(data: bytes, what: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise Refusal(f"{what} of the archive is not JSON") from None


def index(data: bytes, what: str) -> tuple[Descriptor, ...]:
    """Of a document that is an index and nothing else (CVE-2021-41190)."""
    match document(data, what):
        case {"manifests": list(entries), **rest} if not rest.keys() & {"config", "layers"}:
            pass
        case _:
            raise Refusal(f"{what} of the archive is not an index of images")
    _check_kind(rest, INDEXES, what)
    if len(entries) > bounds.INDEX_ENTRIES:
        raise Refusal(f"{what} of the archive has {len(entries)} entries: the most is {bounds.INDEX_ENTRIES}")
    return tuple(descriptor(entry) for entry in entries)


def manifest(data: bytes, what: str) -> Manifest:
    match document(data, what):
        case {"config": config, "layers": list(layers), **rest} if "manifests" not in rest:
            pass
        case _:
            raise Refusal(f"{what} is not a manifest of an image")
    _check_kind(rest, MANIFESTS, what)
    if not 1 <= len(layers) <= LAYERS_MAX:
        raise Refusal(f"an image has {len(layers)} layers: from 1 to {LAYERS_MAX} can be used")
    found = Manifest(descriptor(config), tuple(descriptor(layer) for layer in layers))
    if found.config.kind not in CONFIGS:
        raise Refusal(f"{what} is not of a container image, but of {_told(found.config.kind)}")
    for layer in found.layers:
        if layer.kind not in LAYERS:
            raise Refusal(f"the layer {layer.digest} is of a kind that is not read: {_told(layer.kind)}")
    return found


def descriptor(entry: object) -> Descriptor:
    match entry:
        case {"mediaType": str(kind), "digest": str(digest), "size": int(size), **rest} if size >= 0:
            try:
                check_digest(digest)
            except InvalidArgs as error:
                raise Refusal(str(error)) from None
            return Descriptor(kind, digest, size, _platform(rest), _name(rest))
    raise Refusal("the archive has an entry without mediaType, digest or size")


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _check_kind(rest: Mapping[Any, object], kinds: set[str], what: str) -> None:
    """A document may leave its own type out, but not claim another."""
    kind = rest.get("mediaType")
    if kind is not None and kind not in kinds:
        raise Refusal(f"{what} says that it is something else: {_told(kind)}")
    if rest.get("schemaVersion") != 2:
        raise Refusal(f"{what} is not of schema version 2")


def _platform(entry: Mapping[Any, object]) -> Platform | None:
    match entry.get("platform"):
        case {"os": str(system), "architecture": str(architecture), **rest}:
            variant = rest.get("variant")
            return Platform(system, architecture, variant if isinstance(variant, str) else "")
    return None


def _name(entry: Mapping[Any, object]) -> str:
    """containerd and docker write the whole name into a key of their own, and into OCI's perhaps the tag alone."""
    match entry.get("annotations"):
        case {"io.containerd.image.name": str(name)}:
            return name
        case {"org.opencontainers.image.ref.name": str(name)} if ":" in name or "/" in name:
            return name
    return ""


def _told(kind: object) -> str:
    return shown(os.fsencode(kind) if isinstance(kind, str) else b"?")
