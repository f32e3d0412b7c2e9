# SPDX-License-Identifier: GPL-3.0-or-later
"""Images as archives: what others read, checked by its own digests; slow readers, and damage on the way."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mctld.configuration import Configuration
from mctld.image import Image, Layer, digest_of
from mctld.images.layers import Layers
from mctld.images.refusal import Refusal
from mctld.images.saving import digest_of_layer, save
from mctld.images.sink import GivenUp, Sink
from mctld.images.skeleton import Writer
from mctld.images.unpacking import Unpacking
from mctld.reference import Reference
from unit.images.tars import archive, directory, member

if TYPE_CHECKING:
    from pathlib import Path

ARCHIVES = [
    archive(directory(b"d"), member(b"d/a", b"1" * 700)),
    archive(member(b"d/.wh.a"), member(b"b", b"2" * 900_000)),
]


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    made = Layers(str(tmp_path / "images"))
    made.prepare()
    return made


@pytest.fixture
def image(layers: Layers) -> Image:
    """Of two layers, the first of them twice."""
    first, second = (unpacked(layers, data) for data in ARCHIVES)
    parts = (first, second, first)
    diff_ids = [layer.diff_id for layer in parts]
    text = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": diff_ids}})
    names = (Reference("example.org/web", "1"), Reference("web"))
    shared, configuration = True, Configuration.parse(text)
    return Image("key", digest_of(text), 0, shared, 1, 2, configuration, parts, names)


def unpacked(layers: Layers, data: bytes) -> Layer:
    made = layers.begin()
    for name in ("tree", "replaced"):
        os.mkdir(f"{made}/{name}")
    stream = io.BytesIO(data)
    roots = [os.open(f"{made}/{name}", os.O_RDONLY | os.O_DIRECTORY) for name in ("tree", "replaced")]
    with open(f"{made}/skeleton", "wb") as skeleton:
        found = Unpacking(stream.read, roots[0], roots[1], skeleton.write, end_required=True).run()
    for root in roots:
        os.close(root)
    with layers.watch() as watched:
        layers.finish({found.diff_id: (made, found.diff_id)}, watched)
    return Layer(found.diff_id, found.size, found.entries, found.has_root)


def test_a_digest_that_is_only_claimed_gets_nobody_anothers_layer(layers: Layers) -> None:
    """As a child would that an archive has taken over."""
    theirs = unpacked(layers, ARCHIVES[0])
    assert unpacked(layers, ARCHIVES[0]) == theirs  # who brings the same is believed
    made = layers.begin()
    for name in ("tree", "replaced"):
        os.mkdir(f"{made}/{name}")
    with open(f"{made}/skeleton", "wb") as skeleton:
        Writer(skeleton.write).close()
    with pytest.raises(Refusal, match="is another one"), layers.watch() as watched:
        layers.finish({theirs.diff_id: (made, theirs.diff_id)}, watched)
    assert os.listdir(f"{layers.path(theirs.diff_id)}/tree") == ["d"]


def saved(image: Image, layers: Layers) -> bytes:
    out = io.BytesIO()
    save([image], layers, lambda data: (out.write(data), None)[1])
    return out.getvalue()


def test_every_blob_has_its_digest_and_every_descriptor_its_blob(image: Image, layers: Layers) -> None:
    with tarfile.open(fileobj=io.BytesIO(saved(image, layers))) as tar:
        names = tar.getnames()
        content = {name: tar.extractfile(name).read() for name in names}  # type: ignore[union-attr]
    assert len(set(names)) == len(names)
    blobs = {name: data for name, data in content.items() if name.startswith("blobs/")}
    for name, data in blobs.items():
        assert hashlib.sha256(data).hexdigest() == name.rpartition("/")[2]
    index = json.loads(content["index.json"])
    assert [entry["annotations"]["io.containerd.image.name"] for entry in index["manifests"]] == [
        "example.org/web:1", "web:latest",
    ]  # fmt: skip
    manifest = json.loads(blobs[f"blobs/sha256/{index['manifests'][0]['digest'][7:]}"])
    for descriptor in (manifest["config"], *manifest["layers"], *index["manifests"]):
        assert len(blobs[f"blobs/sha256/{descriptor['digest'][7:]}"]) == descriptor["size"]
    assert [blobs[f"blobs/sha256/{layer['digest'][7:]}"] for layer in manifest["layers"]] == [*ARCHIVES, ARCHIVES[0]]
    (docker,) = json.loads(content["manifest.json"])
    assert docker["RepoTags"] == ["example.org/web:1", "web:latest"]
    assert [content[name] for name in docker["Layers"]] == [*ARCHIVES, ARCHIVES[0]]
    assert content[docker["Config"]].decode() == image.configuration.text


def test_several_have_what_they_share_once(image: Image, layers: Layers) -> None:
    text = json.dumps({"os": "linux", "rootfs": {"type": "layers", "diff_ids": [image.layers[1].diff_id]}})
    other = replace(
        image, id=digest_of(text), configuration=Configuration.parse(text), layers=image.layers[1:2],
        references=(Reference("other", "1"),),
    )  # fmt: skip
    out = io.BytesIO()
    save([image, other, image], layers, lambda data: (out.write(data), None)[1])
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        names = tar.getnames()
        index, docker = (json.loads(tar.extractfile(n).read()) for n in names[-2:])  # type: ignore[union-attr]
    assert (names[-2:], len(names), len(set(names))) == (["index.json", "manifest.json"], 9, 9)
    assert [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in index["manifests"]] == [
        "example.org/web:1", "web:latest", "other:1",
    ]  # fmt: skip
    assert [entry["Config"].rpartition("/")[2] for entry in docker] == [image.id[7:], other.id[7:]]
    assert [len(entry["Layers"]) for entry in docker] == [3, 1]


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
def test_skopeo_reads_it(image: Image, layers: Layers, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "image.tar"
    file.write_bytes(saved(image, layers))
    name = "web:latest" if kind == "docker-archive" else "1"
    command = ["skopeo", "copy", "--insecure-policy", f"{kind}:{file}:{name}", f"dir:{tmp_path}/copy"]
    subprocess.run(command, check=True, capture_output=True)
    manifest = json.loads((tmp_path / "copy/manifest.json").read_text())
    assert manifest["config"]["digest"] == image.id


def test_damage_ends_it(image: Image, layers: Layers) -> None:
    with open(f"{layers.path(image.layers[1].diff_id)}/tree/b", "r+b") as file:
        file.write(b"X")
    assert digest_of_layer(layers, image.layers[1].diff_id) != image.layers[1].diff_id
    assert digest_of_layer(layers, image.layers[0].diff_id) == image.layers[0].diff_id
    out = io.BytesIO()
    with pytest.raises(Refusal, match="is damaged"):
        save([image], layers, lambda data: (out.write(data), None)[1])
    assert b"index.json" not in out.getvalue()


def test_a_reader_that_is_slow_and_one_that_never_reads(image: Image, layers: Layers) -> None:
    reading, writing = os.pipe()
    sink = Sink(writing)
    ended: list[BaseException] = []

    def work() -> None:
        try:
            save([image], layers, sink.write)
        except GivenUp as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert os.read(reading, 100)
    assert thread.is_alive()
    sink.cancel()
    thread.join(10)
    assert not thread.is_alive()
    assert len(ended) == 1
    os.close(reading)
    os.close(writing)


def test_a_reader_that_leaves(image: Image, layers: Layers) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(BrokenPipeError):
        save([image], layers, Sink(writing).write)
    os.close(writing)
