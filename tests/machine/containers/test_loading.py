# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of images in a machine: what others write is loaded, what is damaged leaves nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from .conftest import STORE, settled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

PLACE = "/srv/archives"
# One more layer for saved.tar, which names no directory that it has something in.
ADD_LAYER = """
import hashlib, io, json, pathlib, tarfile
def tar(**files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            made.addfile(entry, io.BytesIO(data))
    return out.getvalue()
with tarfile.open("saved.tar") as saved:
    there = {m.name: saved.extractfile(m).read() for m in saved if m.isreg()}
(manifest,) = json.loads(there.pop("manifest.json"))
configuration = json.loads(there.pop(manifest["Config"]))
layer = tar(**{"tmp/note": b"hello", "root/note": b"secret", "new/note": b""})
configuration["rootfs"]["diff_ids"].append("sha256:" + hashlib.sha256(layer).hexdigest())
there = {name: there[name] for name in manifest["Layers"]}
manifest |= {"Config": "c.json", "RepoTags": ["more:1"], "Layers": [*manifest["Layers"], "more.tar"]}
there |= {"c.json": json.dumps(configuration).encode(), "more.tar": layer}
there["manifest.json"] = json.dumps([manifest]).encode()
pathlib.Path("more-image.tar").write_bytes(tar(**there))
"""


@pytest.fixture
def archives(busybox: Mctl) -> Iterator[Mctl]:
    """PLACE/saved.tar is what mctl has saved: two images that share nothing, the first with two names."""
    busybox.shell(f"mkdir {PLACE}; cp /usr/bin/tini {PLACE}/; mctl import {PLACE} tini:1; rm {PLACE}/tini")
    busybox("tag", "busybox", "example.org/box:2")
    busybox.shell(f"mctl save -o {PLACE}/saved.tar busybox; mctl save -o {PLACE}/tini.tar tini:1")
    busybox("rmi", "busybox", "example.org/box:2", "tini:1")
    yield busybox
    busybox.shell(f"rm -r {PLACE}")


@pytest.mark.parametrize("how", [
    "mctl load < saved.tar",
    "cat saved.tar | mctl load",
    "gzip -c saved.tar | mctl load",
    "skopeo copy -q docker-archive:saved.tar docker-archive:x.tar:example.org/box:2; mctl load -i x.tar",
    "skopeo copy -q docker-archive:saved.tar oci-archive:x.tar:example.org/box:2; mctl load -i x.tar",
    "skopeo copy -q docker-archive:saved.tar oci:x:example.org/box:2; tar -C x -c . | mctl load",
], ids=["mctl", "pipe", "gzip", "docker-archive", "oci-archive", "oci layout"])  # fmt: skip
def test_archives_of_others_run(archives: Mctl, how: str) -> None:
    assert "Loaded image: example.org/box:2\n" in archives.shell(f"set -e; cd {PLACE}; {how}").text
    assert archives("run", "--rm", "example.org/box:2", "echo", "alive").text == "alive\n"


def test_directories_that_a_layer_does_not_name_stay_as_they_are(archives: Mctl) -> None:
    archives.shell(f"cd {PLACE}; python3 -c '{ADD_LAYER}'")
    archives("load", "-i", f"{PLACE}/more-image.tar")
    shown = archives("run", "--rm", "--network", "none", "more:1", "stat", "-c", "%a", "/tmp", "/root", "/new").text
    assert shown.split() == ["1777", "700", "755"]
    assert "ok" in archives("image", "check", "more:1").text


def test_several_images_of_one_archive(archives: Mctl) -> None:
    script = f"""
        set -e; cd {PLACE}
        skopeo copy -q docker-archive:saved.tar oci:both:a:1; skopeo copy -q docker-archive:tini.tar oci:both:b:1
        tar -C both -c . | mctl load
    """
    assert archives.shell(script).text == "Loaded image: a:1\nLoaded image: b:1\n"
    assert archives("run", "--rm", "b:1", "/tini", "--version", check=False).returncode in (0, 127)  # it has no libc
    found = json.loads(archives("history", "--json", "a:1").stdout)
    assert [step["Comment"] for step in found] == ["imported by mctl"]
    assert found[0]["Size"] > 1 << 20
    assert archives("history", "-q", "a:1").text.startswith("sha256:")


def test_what_the_disk_has_lost_comes_back(archives: Mctl) -> None:
    archives("load", "-i", f"{PLACE}/saved.tar")
    archives.shell(f"mv {STORE}/layers/* /srv/lost")
    assert archives("run", "--rm", "busybox", "true", check=False).returncode == 125
    archives("load", "-i", f"{PLACE}/saved.tar")
    archives.shell("rm -r /srv/lost")
    assert archives("run", "--rm", "busybox", "echo", "back").text == "back\n"


def test_damage_leaves_nothing_of_any_image(archives: Mctl) -> None:
    """The second image's layer is damaged: the first one does not come either."""
    script = f"""
        cd {PLACE}
        skopeo copy -q docker-archive:saved.tar oci:both:a:1; skopeo copy -q docker-archive:tini.tar oci:both:b:1
        blob=$(ls -S both/blobs/sha256 | sed -n 2p)
        printf X | dd of=both/blobs/sha256/$blob bs=1 seek=1000 conv=notrunc 2> /dev/null
        tar -C both -c . | mctl load
    """
    refused = archives.shell(script, check=False)
    assert refused.returncode == 1
    assert b"is damaged" in refused.stderr
    assert archives("images", "-q").text == ""
    assert settled(archives) == ""
    assert archives.shell(f"ls {STORE}/layers").text == ""


def test_a_layer_that_is_not_what_the_configuration_says(archives: Mctl) -> None:
    script = f"""
        cd {PLACE}; mkdir x; tar -C x -xf saved.tar; rm x/oci-layout x/index.json
        layer=$(ls -S x/blobs/sha256 | head -n 1)
        printf X | dd of=x/blobs/sha256/$layer bs=1 seek=100000 conv=notrunc 2> /dev/null
        tar -C x -c . | mctl load
    """
    refused = archives.shell(script, check=False)
    assert b"a layer is not what the image's configuration says" in refused.stderr
    assert archives("images", "-q").text == ""


def test_whose_they_are(archives: Mctl, alice_may_import: Mctl) -> None:
    assert archives is alice_may_import
    archives.shell(f"chmod 755 {PLACE}; chmod 644 {PLACE}/*")
    archives("load", "-i", f"{PLACE}/saved.tar", user="alice")
    archives("load", "--private", "-i", f"{PLACE}/tini.tar")
    assert archives("run", "--rm", "busybox", "true", user="bob", check=False).returncode == 125
    assert [image["OwnerUID"] for image in json.loads(archives("images", "--json", user="alice").stdout)] == [1000]
    assert archives("image", "prune", "-a", user="alice").text.startswith("busybox:latest\nexample.org/box:2\nsha256:")
    assert [image["Names"] for image in json.loads(archives("images", "--json").stdout)] == [["tini:1"]]


def test_prune_leaves_what_is_used(archives: Mctl) -> None:
    archives("load", "-i", f"{PLACE}/saved.tar")
    archives("load", "-i", f"{PLACE}/tini.tar")
    archives("create", "--name", "user", "busybox")
    archives("tag", "busybox", "tini:1")  # the other one has no name any more
    assert archives("image", "prune").text.startswith("sha256:")
    assert archives("image", "prune", "-a").text == "Total reclaimed space: 0 B\n"
    archives("rm", "user")
    assert "Total reclaimed space: 1." in archives("image", "prune", "-a").text


@pytest.mark.allow_journal(r"mctld\.service")
def test_a_service_killed_meanwhile_leaves_nothing(archives: Mctl) -> None:
    for number in range(5):
        archives.shell(
            f"mctl load -i {PLACE}/saved.tar >/dev/null 2>&1 & sleep 0.0{number * 2}; "
            "systemctl kill --kill-whom=main --signal=KILL mctld.service; wait; true"
        )
        loaded = archives("images", "-q").text.split()
        assert len(archives.shell(f"ls {STORE}/layers").text.split()) == len(loaded)
        if loaded:
            archives("rmi", *loaded)
    assert settled(archives) == ""
