# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry that means harm, or is slow: `hostile_registry.py PORT`. What it does is said by an image's name.

Of images whose name begins with base, upon, off, half or claim it writes into FETCHED which blobs it has sent.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import json
import random
import sys
import tarfile
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG, LAYER = "application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER = "application/vnd.docker."
DOCKERS = {
    MANIFEST: f"{DOCKER}distribution.manifest.v2+json",
    CONFIG: f"{DOCKER}container.image.v1+json",
    LAYER: f"{DOCKER}image.rootfs.diff.tar.gzip",
}
ENDLESS = 1 << 40
FETCHED, STALL = Path("/srv/fetched"), Path("/srv/stall")  # while STALL is there, off and half stall


def tarred(content: bytes, name: str = "file") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


PLAIN = tarred(b"content")
PACKED = gzip.compress(PLAIN, mtime=0)
ZEROS = 400 << 20
BASE = tarred(random.Random(7).randbytes(200_000), "base")
PACKED_BASE = gzip.compress(BASE, mtime=0)


def described(kind: str, data: bytes, **changed: object) -> dict[str, object]:
    return {"mediaType": kind, "digest": digest(data), "size": len(data), **changed}


class Stack:
    """Images of two layers and of their base alone: base, upon, off (its small layer may stall), half (its base may, in
    the middle), and claim, which names the base as upon does but does not have it. With -docker as docker writes them,
    with -index behind an index.
    """

    def __init__(self, name: str) -> None:
        pairs = [(BASE, PACKED_BASE), *([] if name.startswith("base") else [(PLAIN, PACKED)])]
        kinds = DOCKERS if name.endswith("-docker") else {kind: kind for kind in DOCKERS}
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/file", name]},
                             "rootfs": {"type": "layers", "diff_ids": [digest(plain) for plain, _ in pairs]}}).encode()
        layers = [described(kinds[LAYER], layer) for _, layer in pairs]
        manifest = json.dumps({"schemaVersion": 2, "mediaType": kinds[MANIFEST], "layers": layers,
                               "config": described(kinds[CONFIG], config)}).encode()  # fmt: skip
        self.kind, self.manifest = kinds[MANIFEST], manifest
        self.manifests = {digest(manifest): manifest}
        if name.endswith("-index"):
            entries = [
                described(MANIFEST, manifest, platform={"os": "linux", "architecture": each})
                for each in ("s390x", "amd64", "arm64")
            ]
            self.kind = INDEX
            self.manifest = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
        self.blobs = {digest(config): config, **{digest(layer): layer for _, layer in pairs}}


class Image:
    """What is served under a name; `blobs` by digest."""

    def __init__(self, name: str) -> None:
        layer = bomb() if name == "bomb" else PACKED
        diff_id = digest(b"other") if name == "other-layer" else digest(PLAIN)
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/file"]},
                             "rootfs": {"type": "layers", "diff_ids": [diff_id]}}).encode()  # fmt: skip
        if name == "no-config":
            config = b"{"
        size = {"size": ENDLESS} if name == "endless" else {}
        manifest: dict[str, object] = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described(CONFIG, config),
                                       "layers": [described(LAYER, layer, **size)]}  # fmt: skip
        if name == "ambiguous":
            manifest["manifests"] = []
        if name == "many-layers":
            manifest["layers"] = [described(LAYER, layer)] * 300
        if name == "not-an-image":
            manifest["config"] = described("application/vnd.cncf.helm.config.v1+json", config)
        self.manifest = json.dumps(manifest).encode()
        if name == "huge-manifest":
            self.manifest = b" " * (8 << 20)
        self.blobs = {digest(config): config, digest(layer): layer}


@functools.cache
def bomb() -> bytes:
    head = tarfile.TarInfo("zeros")
    head.size = ZEROS
    packer = zlib.compressobj(9, wbits=31)
    parts = [packer.compress(head.tobuf()), *(packer.compress(bytes(1 << 20)) for _ in range((ZEROS >> 20) + 1))]
    return b"".join([*parts, packer.flush()])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        del format, args

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = self.path.strip("/").split("/")
        if parts == ["v2"]:
            self.answer(b"{}", "application/json")
            return
        name, kind, wanted = parts[1], parts[2], parts[3]
        if name.startswith(("base", "upon", "off", "half", "claim")):
            self.stack(name, Stack(name), kind, wanted)
        elif name == "redirect-loop":
            self.redirect(self.path)
        elif name == "redirect-to-file":
            self.redirect("file:///etc/shadow")
        elif name == "unauthorized":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Bearer realm="http://127.0.0.1:1/token",service="x"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif kind == "manifests":
            self.answer(Image(name).manifest, MANIFEST)
        else:
            self.blob(name, Image(name).blobs.get(wanted, b""))

    def stack(self, name: str, image: Stack, kind: str, wanted: str) -> None:
        if kind == "manifests":
            found = image.manifests.get(wanted)
            self.answer(found or image.manifest, MANIFEST if found and image.kind == INDEX else image.kind)
            return
        with FETCHED.open("a") as log:
            log.write(f"{name} {wanted}\n")
        if name.startswith("claim") and wanted == digest(PACKED_BASE):
            self.send_error(404)
        elif name.startswith("off") and wanted == digest(PACKED) and STALL.exists():
            time.sleep(600)
        elif name.startswith("half") and wanted == digest(PACKED_BASE):
            self.answer(PACKED_BASE, "application/octet-stream", len(PACKED_BASE) // 2)
        else:
            self.answer(image.blobs[wanted], "application/octet-stream")

    def blob(self, name: str, data: bytes) -> None:
        if name == "wrong-digest":
            data = data[:-1] + bytes((data[-1] ^ 1,))
        if name == "short":
            data = data[:-10]
        if name == "slow":
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            time.sleep(600)
        elif name == "endless":
            self.send_response(200)
            self.end_headers()
            for _ in range(1 << 20):
                self.wfile.write(bytes(1 << 20))
        else:
            self.answer(data, "application/octet-stream")

    def redirect(self, where: str) -> None:
        self.send_response(307)
        self.send_header("Location", where)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer(self, data: bytes, kind: str, stop: int = 0) -> None:
        """stop: after how many bytes it waits until STALL is gone."""
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[:stop])
            while stop and STALL.exists():
                time.sleep(0.1)
            self.wfile.write(data[stop:])


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
