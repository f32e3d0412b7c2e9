# SPDX-License-Identifier: GPL-3.0-or-later
"""What images an unpacked archive holds: an OCI image layout, or what docker and podman save.

https://github.com/opencontainers/image-spec/blob/main/image-layout.md
https://github.com/moby/moby/blob/master/image/spec/spec.md
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..configuration import TEXT_MAX, Configuration
from ..errors import InvalidArgs
from ..image import LAYERS_MAX
from ..reference import Reference, check_digest
from . import bounds
from .manifest import INDEXES, MANIFESTS, Descriptor, digest_of, document, index, manifest
from .refusal import Refusal, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..platform import Platform
    from .manifest import Manifest
    from .shelf import Shelf

OCI_MARK, OCI_INDEX, DOCKER_MANIFEST = "oci-layout", "index.json", "manifest.json"


@dataclass(frozen=True, slots=True)
class PackedLayer:
    """A file of the shelf. promised: its own digest and size, where something says them."""

    diff_id: str
    path: str
    promised: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class PackedImage:
    configuration: Configuration
    layers: tuple[PackedLayer, ...]
    references: tuple[Reference, ...] = ()

    @property
    def blobs(self) -> tuple[tuple[str, int], ...]:
        """Digests and sizes of its layers, where something says them."""
        return tuple(layer.promised for layer in self.layers if layer.promised)


def images(shelf: Shelf, platform: Platform) -> tuple[PackedImage, ...]:
    """All of them, or Refusal: nothing is taken of an archive that is not wholly understood. Slow."""
    if shelf.has(OCI_MARK) and shelf.has(OCI_INDEX):
        found = tuple(_of_layout(shelf, platform))
    elif shelf.has(DOCKER_MANIFEST):
        found = tuple(_of_docker(shelf))
    else:
        raise Refusal(f"the archive holds no images: it has neither {OCI_MARK} nor {DOCKER_MANIFEST}; "
                      "`mctl import` makes an image of a root file system")  # fmt: skip
    if not found:
        raise Refusal("the archive holds no images")
    return found


def fetched(shelf: Shelf, reference: Reference) -> PackedImage:
    """The one image of a layout that skopeo has filled. Slow."""
    entries = index(shelf.read(OCI_INDEX, bounds.MANIFEST_BYTES), OCI_INDEX)
    if len(entries) != 1 or entries[0].kind not in MANIFESTS:
        raise Refusal("what was fetched is not one image of a kind that is read")
    described = manifest(_blob(shelf, entries[0], bounds.MANIFEST_BYTES), "what was fetched")
    return _image(_blob(shelf, described.config, TEXT_MAX), described, lambda blob: blob.path, (reference,))


def announced(data: bytes, configuration: bytes, reference: Reference) -> PackedImage:
    """What will be fetched, by its manifest and its configuration."""
    described = manifest(data, "the manifest")
    return _image(_proved(configuration, described.config), described, lambda blob: blob.path, (reference,))


def blobs_of(data: bytes) -> tuple[tuple[str, int], ...]:
    """Digests and sizes of the layers, the lowest first, of a manifest alone."""
    return tuple((layer.digest, layer.size) for layer in manifest(data, "the manifest").layers)


def diff_ids(configuration: bytes) -> frozenset[str]:
    return frozenset(_configuration(configuration).diff_ids)


def instance(data: bytes, platform: Platform) -> str | None:
    """The digest of the manifest for a platform, if these are an index of several platforms. Refusal if it has none."""
    try:
        entries = index(data, "the index")
    except Refusal:
        return None
    fitting = _fitting(entries, platform)
    return fitting[0].digest if fitting and fitting[0].kind in MANIFESTS else None


def _of_layout(shelf: Shelf, platform: Platform) -> Iterator[PackedImage]:
    """An image that is named several times has as many entries."""
    entries = index(shelf.read(OCI_INDEX, bounds.MANIFEST_BYTES), OCI_INDEX)
    names: dict[Descriptor, dict[Reference, None]] = {}
    for entry in _fitting(entries, platform):
        chosen = _chosen(shelf, entry, platform, bounds.INDEX_DEPTH)
        names.setdefault(replace(chosen, name="", platform=None), {}).update(dict.fromkeys(_references([entry.name])))
    for chosen, found in names.items():
        what = f"the manifest {chosen.digest}"
        described = manifest(_blob(shelf, chosen, bounds.MANIFEST_BYTES), what)
        yield _image(_blob(shelf, described.config, TEXT_MAX), described, lambda blob: blob.path, tuple(found))


def _image(
    data: bytes, described: Manifest, path: Callable[[Descriptor], str], references: tuple[Reference, ...]
) -> PackedImage:
    configuration = _configuration(data)
    pairs = zip(_diff_ids(configuration, len(described.layers)), described.layers, strict=True)
    layers = tuple(PackedLayer(diff_id, path(layer), (layer.digest, layer.size)) for diff_id, layer in pairs)
    return PackedImage(configuration, layers, references)


def _fitting(entries: tuple[Descriptor, ...], platform: Platform) -> list[Descriptor]:
    fitting = [e for e in entries if e.platform is None or e.platform.fits(platform)]
    if entries and not fitting:
        there = sorted({str(e.platform) for e in entries if e.platform and e.platform.os != "unknown"})
        raise Refusal(f"the archive has no image for {platform}, but for {shown(os.fsencode(', '.join(there)))}")
    return fitting


def _chosen(shelf: Shelf, entry: Descriptor, platform: Platform, depth: int) -> Descriptor:
    """The manifest behind an entry that may be an index of platforms itself."""
    if entry.kind in MANIFESTS:
        return entry
    if entry.kind not in INDEXES:
        raise Refusal(f"the archive has an entry of a kind that is not read: {shown(os.fsencode(entry.kind))}")
    if not depth:
        raise Refusal("the archive has an index in an index in an index")
    inner = index(_blob(shelf, entry, bounds.MANIFEST_BYTES), f"the index {entry.digest}")
    fitting = _fitting(inner, platform)
    if not fitting:
        raise Refusal(f"the index {entry.digest} is empty")
    return _chosen(shelf, fitting[0], platform, depth - 1)


def _of_docker(shelf: Shelf) -> Iterator[PackedImage]:
    """Its layers are found by paths, and proved by the digests that the configuration has of them."""
    entries = document(shelf.read(DOCKER_MANIFEST, bounds.MANIFEST_BYTES), DOCKER_MANIFEST)
    if not isinstance(entries, list) or len(entries) > bounds.INDEX_ENTRIES:
        raise Refusal(f"{DOCKER_MANIFEST} of the archive is no list of at most {bounds.INDEX_ENTRIES} images")
    for entry in entries:
        match entry:
            case {"Config": str(config), "Layers": list(paths), **rest} if all(isinstance(p, str) for p in paths):
                configuration = _configuration(shelf.read(config, TEXT_MAX))
                diff_ids = _diff_ids(configuration, len(paths))
                layers = tuple(PackedLayer(d, p) for d, p in zip(diff_ids, paths, strict=True))
                yield PackedImage(configuration, layers, _references(_tags(rest.get("RepoTags"))))
            case _:
                raise Refusal(f"{DOCKER_MANIFEST} of the archive has an entry without Config or Layers")


def _tags(found: object) -> list[object]:
    if not isinstance(found, list | type(None)):
        raise Refusal(f"{DOCKER_MANIFEST} of the archive has RepoTags that are no list")
    return found or []


def _blob(shelf: Shelf, wanted: Descriptor, most: int) -> bytes:
    return _proved(shelf.read(wanted.path, most), wanted)


def _proved(found: bytes, wanted: Descriptor) -> bytes:
    if (digest_of(found), len(found)) != (wanted.digest, wanted.size):
        raise Refusal(f"the blob {wanted.digest} is damaged, or does not have its {wanted.size} bytes")
    return found


def _configuration(data: bytes) -> Configuration:
    try:
        return Configuration.parse(data.decode())
    except UnicodeDecodeError:
        raise Refusal("an image's configuration is not UTF-8") from None


def _diff_ids(configuration: Configuration, layers: int) -> tuple[str, ...]:
    found = configuration.diff_ids
    if len(found) != layers or not 1 <= layers <= LAYERS_MAX:
        raise Refusal(
            f"an image has {layers} layers, and digests of {len(found)}: they must be as many, to {LAYERS_MAX}"
        )
    try:
        return tuple(check_digest(diff_id) for diff_id in found)
    except InvalidArgs as error:
        raise Refusal(str(error)) from None


def _references(names: Iterable[object]) -> tuple[Reference, ...]:
    found = []
    for name in names:
        if name:
            try:
                found.append(Reference.parse(str(name)))
            except InvalidArgs as error:
                raise Refusal(str(error)) from None
    if len(found) > bounds.INDEX_ENTRIES:
        raise Refusal(f"an image of the archive has more than {bounds.INDEX_ENTRIES} names")
    return tuple(found)
