# SPDX-License-Identifier: GPL-3.0-or-later
"""How skopeo is called and understood, and that what it leaves is read."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from mctld.images import layout, skopeo
from mctld.images.refusal import Refusal
from mctld.images.shelf import Shelf
from mctld.platform import Platform
from mctld.reference import Reference
from mctld.systemd import transfer

if TYPE_CHECKING:
    from pathlib import Path

NGINX = Reference.parse("docker.io/nginx")


def test_commands() -> None:
    command = skopeo.pull(NGINX, Platform("linux", "arm", "v7"), "/place", "/auth", verify=True)
    assert command[-2:] == ["docker://docker.io/library/nginx:latest", "oci:/place/image"]
    assert " ".join(command[3:10]) == "--override-os linux --override-arch arm --override-variant v7 copy"
    assert "--src-tls-verify=false" not in command  # then containers-registries.conf(5) decides
    assert "--src-tls-verify=false" in skopeo.pull(NGINX, Platform("linux", "arm"), "/p", "/a", verify=False)
    look = skopeo.look(NGINX, Platform("linux", "arm", "v7"), "/place", "/auth", verify=False)
    assert " ".join(look[9:12]) == "inspect --config --raw"
    assert (look[-2], look[-1]) == ("--tls-verify=false", command[-2])
    assert "--dest-tls-verify=false" in skopeo.push(NGINX, "/p", "/a", verify=False)


@pytest.mark.parametrize(("output", "said"), [
    (
        'time="2026-01-01T00:00:00Z" level=warning msg="old"\n'
        'time="2026-01-01T00:00:01Z" level=fatal msg="reading \\"x\\": no\\tsuch\\nthing"\n',
        'reading "x": no such thing',
    ),
    ("time=x level=fatal msg=short\n", "short"),
    ("panic: something\n\n", "panic: something"),
    ("", ""),
    ('level=fatal msg="\\u001b[31mred"', "[31mred"),
    (
        'level=fatal msg="Error parsing image name \\"docker://localhost:5443/a:1\\": reading manifest 1 in x: denied"',
        "reading manifest 1 in x: denied",
    ),
    ('level=fatal msg="initializing source docker://x/a:1: pinging x: no"', "pinging x: no"),
    (
        'level=fatal msg="trying to reuse blob sha256:1 at destination: '
        'checking whether a blob sha256:1 exists in x/a: no"',
        "no",
    ),
    ("x" * 5000, "x" * 597 + "..."),
])  # fmt: skip
def test_complaints(output: str, said: str) -> None:
    assert skopeo.complaint(output).strip() == said
    assert skopeo.complaint(output).isprintable()


@pytest.mark.parametrize(("said", "known", "what"), [
    ("reading manifest 1 in x/a: authentication required", False, "`skopeo login x:5000`, or give --creds USER"),
    ("reading manifest 1 in x/a: authentication required", True, "check the user name, the password, "),
    ("x: unauthorized: incorrect username or password", True, "check the user name, the password, "),
    ("errors: denied: requested access to the resource is denied", False, "skopeo login"),
    ("reading manifest 1 in x/a: manifest unknown", True, "it has no such image, or none with this tag"),
])  # fmt: skip
def test_what_to_do_about_them(said: str, known: bool, what: str) -> None:  # noqa: FBT001
    assert what in skopeo.advice(said, "x:5000/team/a:1", known=known)
    assert skopeo.advice("dial tcp [::1]:9: connect: connection refused", "x/a", known=known) == ""


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
def test_what_it_leaves_is_read(tmp_path: Path) -> None:
    source, place = tmp_path / "source", tmp_path / "place"
    (source / "blobs/sha256").mkdir(parents=True)
    place.mkdir()
    layer = b"layer"
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Healthcheck": {"Test": ["CMD", "x"]}},
                         "rootfs": {"type": "layers", "diff_ids": [f"sha256:{'1' * 64}"]}}).encode()  # fmt: skip
    kinds = ("application/vnd.docker.container.image.v1+json", "application/vnd.docker.image.rootfs.diff.tar.gzip")
    from unit.images.test_layout import Maker

    (tmp_path / "maker").mkdir()
    maker = Maker(tmp_path / "maker")
    manifest = {
        "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": maker.blob(config, kinds[0]), "layers": [maker.blob(layer, kinds[1])],
    }  # fmt: skip
    (source / "manifest.json").write_text(json.dumps(manifest))
    (source / "version").write_text("Directory Transport Version: 1.1\n")
    for blob in (maker.place / "blobs/sha256").iterdir():
        blob.rename(source / blob.name)
    shutil.rmtree(source / "blobs")
    pull = skopeo.pull(NGINX, Platform("linux", "amd64"), str(place), "/auth", verify=True)
    how = [word for word in pull if word in ("--preserve-digests", "--remove-signatures")]
    command = ["skopeo", "copy", "--insecure-policy", *how, f"dir:{source}", f"oci:{place}/image"]
    subprocess.run(command, check=True, capture_output=True)
    with Shelf(str(place / "image")) as shelf:
        found = layout.fetched(shelf, NGINX)
        assert found.configuration.text.encode() == config
        assert found.references == (NGINX,)
        (there,) = found.layers
        assert there.promised == (manifest["layers"][0]["digest"], 5)  # type: ignore[index]
        (place / "image" / found.layers[0].path).write_bytes(b"LAYER")
        with pytest.raises(Refusal, match="is damaged"):
            shelf.check(shelf.open(there.path), *there.promised or ("", 0))


def test_its_service_is_told_no_text_but_ours() -> None:
    """Newlines in properties have become unit files of root's."""
    command = skopeo.pull(
        NGINX, Platform("linux", "amd64"), transfer.PLACE, transfer.credential_path("a1"), verify=True
    )
    found = {
        name: value.value
        for name, value in transfer.properties("a1", command, "/d", "/c", ("/o", "/e"), None, {"NO_PROXY": "x"})
    }
    assert found["ExecStart"] == [[skopeo.PROGRAM, command, False]]
    assert found["BindPaths"] == [["/d", transfer.PLACE, False, 0]]
    assert (found["DynamicUser"], found["ProtectSystem"], found["NoNewPrivileges"]) == (True, "strict", True)
    assert found["CapabilityBoundingSet"] == 0
    assert "NO_PROXY=x" in found["Environment"]
    assert "\n" not in repr(found)
    assert found["StandardOutputFile"] == "/o"


def test_its_display_is_a_terminal_that_is_none_of_its_own() -> None:
    properties = transfer.properties("a1", ["x"], "/d", "/c", ("/o", "/e"), "/dev/pts/7", {})
    found = {name: value.value for name, value in properties}
    assert (found["StandardOutput"], found["TTYPath"], found["StandardErrorFile"]) == ("tty", "/dev/pts/7", "/e")
    assert not found.keys() & {"StandardInput", "StandardOutputFile"}
