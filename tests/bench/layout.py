# SPDX-License-Identifier: GPL-3.0-or-later
"""Images to be measured, as an OCI layout on disk, and a registry on loopback that has them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import tarfile
import time
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import urlopen

from bench import command

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bench.rootfs import Rootfs

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG, LAYER = "application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip"
ADDRESS = "127.0.0.1:5000"
CONFIGURATION = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: {place}/registry}}}}
http: {{addr: "{address}"}}
"""
PATIENCE = 30.0  # seconds
FILES, FILE_BYTES = 2_000, 26_000  # of each of four layers: some 200 MB


def big(root: Rootfs) -> Iterator[bytes]:
    """Files of which half can be compressed, as programs and texts can."""
    chance = random.Random(1)
    for number in range(4):
        members = {f"data/{number}/{name}": _content(chance) for name in range(FILES)}
        yield _tar(members, root if number == 0 else None)


def deep(root: Rootfs) -> Iterator[bytes]:
    """Twenty layers."""
    for number in range(20):
        yield _tar({f"layer/{number}": b"%d" % number}, root if number == 0 else None)


def write(place: Path, layers: Iterator[bytes]) -> None:
    """An OCI layout: https://github.com/opencontainers/image-spec/blob/main/image-layout.md"""
    (place / "blobs/sha256").mkdir(parents=True)
    packed, diff_ids = [], []
    for layer in layers:
        diff_ids.append(_digest(layer))
        packed.append(_blob(place, gzip.compress(layer, 6, mtime=0), LAYER))
    config = {"architecture": _architecture(), "os": "linux", "config": {"Cmd": ["/bin/true"]},
              "rootfs": {"type": "layers", "diff_ids": diff_ids}}  # fmt: skip
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": _blob(place, _json(config), CONFIG),
                "layers": packed}  # fmt: skip
    index = {"schemaVersion": 2, "manifests": [_blob(place, _json(manifest), MANIFEST)]}
    (place / "index.json").write_bytes(_json(index))
    (place / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def serve(place: Path, names: Sequence[str]) -> None:
    """A registry, in a unit that ends with the machine, with what lies below `place` under these names."""
    configuration = place / "registry.yml"
    configuration.write_text(CONFIGURATION.format(place=place, address=ADDRESS))
    command.output(["systemd-run", "-q", "--unit=bench-registry", "docker-registry", "serve", str(configuration)])
    deadline = time.monotonic() + PATIENCE
    while not _answers():
        if time.monotonic() > deadline:
            raise command.FailedError("the registry does not answer")
        time.sleep(0.1)
    for name in names:
        copy = ["skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{place / name}", reference(name, "docker://")]
        command.output(copy)


def reference(name: str, prefix: str = "") -> str:
    return f"{prefix}{ADDRESS}/{name}:latest"


def _answers() -> bool:
    try:
        with urlopen(f"http://{ADDRESS}/v2/", timeout=5):
            return True
    except (URLError, OSError):
        return False


def _content(chance: random.Random) -> bytes:
    return chance.randbytes(FILE_BYTES // 2) + b"as a text would be, " * (FILE_BYTES // 40)


def _tar(members: dict[str, bytes], root: Rootfs | None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        if root:
            tar.add(root.directory, ".")
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def _blob(place: Path, data: bytes, kind: str) -> dict[str, Any]:
    digest = _digest(data)
    (place / "blobs/sha256" / digest.removeprefix("sha256:")).write_bytes(data)
    return {"mediaType": kind, "digest": digest, "size": len(data)}


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _json(document: object) -> bytes:
    return json.dumps(document).encode()


def _architecture() -> str:
    return command.output(["dpkg", "--print-architecture"]).strip()
