# SPDX-License-Identifier: GPL-3.0-or-later
"""What an archive says it holds is believed only as far as digests and bounds reach."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from mctld.errors import BadImage, InvalidArgs
from mctld.images import bounds, layout
from mctld.images.refusal import Refusal
from mctld.images.shelf import Shelf
from mctld.platform import Platform
from mctld.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

AMD64 = Platform("linux", "amd64")
LAYERS = [f"sha256:{digit * 64}" for digit in "12"]
MANIFEST, INDEX = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"
CONFIG, LAYER = "application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip"


class Maker:
    """Writes layouts, right ones and others."""

    def __init__(self, place: Path) -> None:
        self.place = place
        (place / "blobs/sha256").mkdir(parents=True)
        (place / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def blob(self, content: bytes, kind: str, **more: Any) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (self.place / "blobs/sha256" / digest).write_bytes(content)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content), **more}

    def json(self, document: object, kind: str, **more: Any) -> dict[str, Any]:
        return self.blob(json.dumps(document).encode(), kind, **more)

    def manifest(self, diff_ids: list[str] = LAYERS, **changed: Any) -> dict[str, Any]:
        config = self.json({"rootfs": {"type": "layers", "diff_ids": diff_ids}}, CONFIG)
        layers = [self.blob(b"layer %d" % n, LAYER) for n in range(2)]
        return {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers, **changed}

    def entry(self, name: str = "", **more: Any) -> dict[str, Any]:
        names = {"annotations": {"org.opencontainers.image.ref.name": name}} if name else {}
        return self.json(self.manifest(), MANIFEST, **names, **more)

    def index(self, *entries: dict[str, Any], **changed: Any) -> None:
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries, **changed}
        (self.place / "index.json").write_text(json.dumps(document))

    def docker(self, *entries: Any) -> None:
        (self.place / "oci-layout").unlink()
        (self.place / "manifest.json").write_text(json.dumps(entries))

    def read(self, platform: Platform = AMD64) -> tuple[layout.PackedImage, ...]:
        with Shelf(str(self.place)) as shelf:
            return layout.images(shelf, platform)


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    (tmp_path / "outside").write_text(json.dumps({"rootfs": {"diff_ids": LAYERS}}))
    (tmp_path / "archive").mkdir()
    return Maker(tmp_path / "archive")


def test_an_image_with_several_names_is_one(maker: Maker) -> None:
    maker.index(maker.entry("example.org/web:1"), maker.entry("web:latest"), maker.entry("1"))
    (found,) = maker.read()
    assert found.references == (Reference("example.org/web", "1"), Reference("web"))  # "1" is only a tag
    assert [layer.diff_id for layer in found.layers] == LAYERS
    with Shelf(str(maker.place)) as shelf:
        for layer in found.layers:
            assert layer.promised is not None
            opened = shelf.open(layer.path)
            shelf.check(opened, *layer.promised)
            assert os.read(opened, 5) == b"layer"
            os.close(opened)


def test_platforms(maker: Maker) -> None:
    arm = {"os": "linux", "architecture": "arm64"}
    signed = maker.json({}, MANIFEST, platform={"os": "unknown", "architecture": "unknown"})
    other = {**maker.entry(), "digest": LAYERS[0], "platform": arm}
    mine = maker.entry(platform={"os": "linux", "architecture": "amd64"})
    inner = {"schemaVersion": 2, "manifests": [signed, other, mine]}
    maker.index(maker.json(inner, INDEX, annotations={"io.containerd.image.name": "docker.io/library/web:1"}))
    (found,) = maker.read()
    assert found.references == (Reference("docker.io/library/web", "1"),)
    with pytest.raises(Refusal, match=r"no image for linux/s390x, but for 'linux/amd64, linux/arm64'"):
        maker.read(Platform("linux", "s390x"))
    assert Platform("linux", "arm", "v7").fits(Platform.parse("linux/arm"))
    assert not Platform("linux", "arm", "v6").fits(Platform.parse("linux/arm/v7"))
    for text in ("linux", "linux/", "a/b/c/d", "linux/../x", "linux/a\nb"):
        with pytest.raises(InvalidArgs, match="is not OS/ARCHITECTURE"):
            Platform.parse(text)


def deep(maker: Maker) -> None:
    entry = maker.entry()
    for _ in range(4):
        entry = maker.json({"schemaVersion": 2, "manifests": [entry]}, INDEX)
    maker.index(entry)


def damaged(maker: Maker) -> None:
    entry = maker.entry()
    path = maker.place / "blobs/sha256" / entry["digest"][7:]
    path.write_bytes(path.read_bytes().replace(b"schemaVersion", b"schemaversion"))
    maker.index(entry)


def config_outside(maker: Maker) -> None:
    maker.docker({"Config": "../outside", "Layers": ["a", "b"]})


def config_by_link(maker: Maker) -> None:
    (maker.place / "config").symlink_to(maker.place.parent / "outside")
    maker.docker({"Config": "config", "Layers": ["a", "b"]})


def fifo(maker: Maker) -> None:
    os.mkfifo(maker.place / "index.json")


HOSTILE: dict[str, tuple[Callable[[Maker], object], str]] = {
    "nothing": (lambda m: None, "holds no images"),
    "no entries": (lambda m: m.index(), "holds no images"),
    "not JSON": (lambda m: (m.place / "index.json").write_text("{"), "is not JSON"),
    "deeply nested JSON": (lambda m: (m.place / "index.json").write_text("[" * 100_000), "is not JSON"),
    "a list": (lambda m: (m.place / "index.json").write_text("[]"), "is not an index"),
    "index and manifest at once": (lambda m: m.index(m.entry(), layers=[]), "is not an index"),
    "manifest and index at once": (lambda m: m.index(m.json(m.manifest(manifests=[]), MANIFEST)), "is not a manifest"),
    "another type inside": (lambda m: m.index(m.json(m.manifest(mediaType=INDEX), MANIFEST)), "something else"),
    "an old schema": (lambda m: m.index(m.json(m.manifest(schemaVersion=1), MANIFEST)), "schema version 2"),
    "not an image": (
        lambda m: m.index(m.json(m.manifest(config=m.json({}, "application/vnd.cncf.helm.config.v1+json")), MANIFEST)),
        "not of a container image",
    ),
    "a foreign layer": (
        lambda m: m.index(m.json(m.manifest(layers=[m.blob(b"", f"{LAYER}+encrypted")] * 2), MANIFEST)),
        "of a kind that is not read",
    ),
    "an unknown entry": (lambda m: m.index(m.json({}, "text/plain")), "of a kind that is not read"),
    "no layers": (lambda m: m.index(m.json(m.manifest(layers=[]), MANIFEST)), "from 1 to 256"),
    "too many layers": (lambda m: m.index(m.json(m.manifest(layers=[m.blob(b"", LAYER)] * 257), MANIFEST)), "257"),
    "fewer digests than layers": (lambda m: m.index(m.json(m.manifest(LAYERS[:1]), MANIFEST)), "must be as many"),
    "digests that are none": (lambda m: m.index(m.json(m.manifest(["../x", "y"]), MANIFEST)), "is not a digest"),
    "a digest that is a path": (lambda m: m.index({**m.entry(), "digest": "sha256:../../outside"}), "not a digest"),
    "another hash": (lambda m: m.index({**m.entry(), "digest": f"sha512:{'0' * 128}"}), "is not a digest"),
    "no size": (lambda m: m.index({**m.entry(), "size": "7"}), "without mediaType, digest or size"),
    "a negative size": (lambda m: m.index({**m.entry(), "size": -1}), "without mediaType, digest or size"),
    "another size": (lambda m: m.index({**m.entry(), "size": 7}), "is damaged, or does not have its 7 bytes"),
    "a damaged blob": (damaged, "is damaged"),
    "a missing blob": (lambda m: m.index({**m.entry(), "digest": LAYERS[0]}), "lacks the file"),
    "indexes in indexes": (deep, "an index in an index"),
    "many entries": (lambda m: m.index(*[m.entry()] * 257), "the most is 256"),
    "a bad name": (lambda m: m.index(m.entry("Not/A/Name:1")), "is not a name of an image"),
    "a large document": (
        lambda m: (m.place / "index.json").write_bytes(b" " * (bounds.MANIFEST_BYTES + 1)),
        "has more than 1048576 bytes",
    ),
    "a FIFO": (fifo, "holds no images"),
    "a configuration outside": (config_outside, "lacks the file"),
    "a configuration by a link": (config_by_link, "lacks the file"),
    "docker without a list": (lambda m: m.docker(), "holds no images"),
    "docker without layers": (lambda m: m.docker({"Config": "config"}), "without Config or Layers"),
    "docker with strange layers": (lambda m: m.docker({"Config": "c", "Layers": [1]}), "without Config or Layers"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(maker: Maker, name: str) -> None:
    make, why = HOSTILE[name]
    make(maker)
    with pytest.raises((Refusal, BadImage), match=why) as refused:
        maker.read()
    assert str(maker.place) not in str(refused.value)


def test_documents_are_bounded_together(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    maker.index(maker.entry("a:1"))
    monkeypatch.setattr(bounds, "DOCUMENTS_BYTES", 500)
    with pytest.raises(Refusal, match="more than 500 bytes together"):
        maker.read()


def test_docker_archives_have_links(maker: Maker) -> None:
    """As docker 1.10 to 24 wrote a layer that two images share."""
    (maker.place / "config.json").write_text(json.dumps({"rootfs": {"diff_ids": LAYERS}}))
    (maker.place / "a").mkdir()
    (maker.place / "a/layer.tar").write_bytes(b"1")
    (maker.place / "link.tar").symlink_to("a/layer.tar")
    entry = {"Config": "config.json", "Layers": ["a/layer.tar", "link.tar"], "RepoTags": None}
    maker.docker(entry, {**entry, "RepoTags": ["web:1", "example.org:5000/a/b:2"]})
    first, second = maker.read()
    assert (first.references, len(second.references)) == ((), 2)
    assert [layer.promised for layer in first.layers] == [None, None]
    with Shelf(str(maker.place)) as shelf:
        opened = shelf.open(first.layers[1].path)
        assert os.read(opened, 10) == b"1"
        os.close(opened)


def test_blobs_are_proved_before_anybody_reads_them(maker: Maker) -> None:
    entry = maker.blob(b"content", LAYER)
    path = f"blobs/sha256/{entry['digest'][7:]}"
    with Shelf(str(maker.place)) as shelf:
        opened = shelf.open(path)
        with pytest.raises(Refusal, match="has 7 bytes, where 8 were promised"):
            shelf.check(opened, entry["digest"], 8)
        (maker.place / path).write_bytes(b"CONTENT")
        with pytest.raises(Refusal, match="is damaged"):
            shelf.check(opened, entry["digest"], 7)
        os.close(opened)
