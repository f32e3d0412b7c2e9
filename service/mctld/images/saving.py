# SPDX-License-Identifier: GPL-3.0-or-later
"""Images as one archive that is both an OCI layout and what docker writes, as docker itself does since version 25.

https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from typing import TYPE_CHECKING, Any

from .assembly import Assembly
from .refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ..image import Image
    from ..reference import Reference
    from .layers import Layers

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
BLOCK = 512


def save(images: Sequence[Image], layers: Layers, write: Callable[[bytes], None]) -> None:
    """Slow. What several of them have is there once. Each layer's digest is proved on the way: where it is another,
    Refusal, and the archive has no end.
    """
    images = list({image.id: image for image in images}.values())
    unique = {layer.diff_id: layer.key for image in images for layer in image.layers}
    sizes = {diff_id: _size(layers, key) for diff_id, key in unique.items()}
    manifests = [_manifest(image, sizes) for image in images]
    _put(write, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
    for image, manifest in zip(images, manifests, strict=True):
        _put(write, _blob(image.id), image.configuration.text.encode())
        _put(write, _blob(_digest(manifest)), manifest)
    for diff_id, key in unique.items():
        write(_header(_blob(diff_id), sizes[diff_id]))
        _put_layer(layers, diff_id, key, write)
        write(bytes(-sizes[diff_id] % BLOCK))
    alone = len(images) == 1
    named = zip(images, manifests, strict=True)
    entries = [entry for image, manifest in named for entry in _entries(image, manifest, alone=alone)]
    _put(write, "index.json", _json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}))
    _put(write, "manifest.json", _json([_docker_manifest(image) for image in images]))
    write(bytes(2 * BLOCK))


def _manifest(image: Image, sizes: Mapping[str, int]) -> bytes:
    return _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": _descriptor(CONFIG_TYPE, image.id, len(image.configuration.text.encode())),
            "layers": [_descriptor(LAYER_TYPE, layer.diff_id, sizes[layer.diff_id]) for layer in image.layers],
        }
    )


def digest_of_layer(layers: Layers, key: str) -> str:
    """What the layer's files make now. Slow."""
    opened = layers.open_directory(key)
    try:
        return Assembly(opened).digest()
    finally:
        os.close(opened)


def _put_layer(layers: Layers, diff_id: str, key: str, write: Callable[[bytes], None]) -> None:
    opened = layers.open_directory(key)
    try:
        found = hashlib.sha256()
        for piece in Assembly(opened):
            found.update(piece)
            write(piece)
    finally:
        os.close(opened)
    if f"sha256:{found.hexdigest()}" != diff_id:
        raise Refusal(f"the layer {diff_id} is damaged: its files make {found.hexdigest()}")


def _size(layers: Layers, key: str) -> int:
    opened = layers.open_directory(key)
    try:
        return Assembly(opened).size()
    finally:
        os.close(opened)


def _entries(image: Image, manifest: bytes, *, alone: bool) -> list[dict[str, Any]]:
    """Of the index: one for each name, as skopeo and docker look for them; with its tag alone where it is alone."""
    entry = _descriptor(MANIFEST_TYPE, _digest(manifest), len(manifest))
    named = [
        {
            **entry,
            "annotations": {
                "io.containerd.image.name": str(reference),
                "org.opencontainers.image.ref.name": reference.tag if alone and not number else str(reference),
            },
        }
        for number, reference in enumerate(_tags(image))
    ]
    return named or [entry]


def _tags(image: Image) -> list[Reference]:
    """A digest is of the manifest in a registry: here is another."""
    return [reference for reference in image.references if not reference.is_digest]


def _docker_manifest(image: Image) -> dict[str, Any]:
    return {
        "Config": _blob(image.id),
        "RepoTags": [str(reference) for reference in _tags(image)],
        "Layers": [_blob(layer.diff_id) for layer in image.layers],
    }


def _descriptor(kind: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest, "size": size}


def _blob(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _put(write: Callable[[bytes], None], name: str, content: bytes) -> None:
    for part in _padded(name, content):
        write(part)


def _padded(name: str, content: bytes) -> Iterable[bytes]:
    return _header(name, len(content)), content, bytes(-len(content) % BLOCK)


def _header(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry.tobuf(tarfile.GNU_FORMAT)
