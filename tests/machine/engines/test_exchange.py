# SPDX-License-Identifier: GPL-3.0-or-later
"""Images between mctl, podman and docker: by a registry and back, and by the archives that each of them writes."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from machine.containers.test_registry import PASSWORD, WAIT
from machine.containers.test_registry import PLACE as PLACE_OF_OTHERS
from machine.containers.test_registry import REGISTRY as SECURE
from machine.containers.test_registry import SET_UP as SET_UP_OF_OTHERS

from .machine import IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .machine import Engines

REGISTRY = "127.0.0.1:5000"
BUILT, BACK = f"{REGISTRY}/team/built:1", f"{REGISTRY}/team/back:1"
SET_UP = f"""
mkdir -p /srv/registry; cd /srv/registry
cat > config.yml <<END
version: 0.1
storage: {{filesystem: {{rootdirectory: /srv/registry/data}}}}
http: {{addr: "{REGISTRY}"}}
END
systemd-run -q --unit=test-registry docker-registry serve /srv/registry/config.yml
cat > Containerfile <<END
FROM localhost/busybox
RUN mkdir -m 1777 /box && echo old > /box/gone && echo kept > /box/kept && chown 7:8 /box/kept
RUN rm /box/gone && ln /box/kept /box/same && ln -s kept /box/link
ENV WHO=podman
WORKDIR /box
USER 7:8
CMD ["sh", "-c", "id -u; ls; echo \\$WHO"]
END
podman image exists localhost/busybox || podman load -q -i {IMAGE}
podman build -q --network none --ulimit nofile=1000:1000 --ulimit nproc=1000:1000 -t built .
for i in $(seq 100); do podman push -q --tls-verify=false built {BUILT} && break; sleep 0.1; done
"""
PLACE, UNIT = "/srv/secure", "test-secure"
SET_UP_SECURE = SET_UP_OF_OTHERS.replace(PLACE_OF_OTHERS, PLACE).replace("test-registry", UNIT)
SEEN = ["7", "kept", "link", "same", "podman"]
DOCKER = f"""
cd /srv/registry; systemctl start docker.service; docker load -q -i {IMAGE}
printf 'FROM busybox\\nCOPY config.yml /c\\nENV WHO=docker\\nCMD ["sh", "-c", "ls /c; echo $WHO"]\\n' > D
DOCKER_BUILDKIT=0 docker build -q -t theirs -f D .; docker save theirs > theirs.tar; mctl load -i theirs.tar
docker tag theirs {REGISTRY}/theirs; docker push -q {REGISTRY}/theirs; docker rmi theirs {REGISTRY}/theirs busybox
systemctl stop docker.socket docker.service
"""


@pytest.fixture(scope="module")
def built(engines: Engines) -> Iterator[Engines]:
    """An image of podman's in a registry."""
    engines.run(["bash", "-ec", SET_UP], timeout=120)
    yield engines
    engines.run(["sh", "-c", "systemctl stop test-registry; rm -r /srv/registry; podman rmi built"])


def test_there_and_back_again(built: Engines) -> None:
    """pull, run, commit, push; and podman runs what came of it."""
    mctl = ["mctl", "run", "--pull", "always", "--tls-verify=false", "--name", "changed", "-u", "0", BUILT]
    script = "id -u; ls; echo $WHO; echo mine > mine; rm link"
    assert built.run([*mctl, "sh", "-c", script]).text.split() == ["0", *SEEN[1:]]
    changes = ["-c", "ENV WHO=mctl", "-c", "USER 7:8", "-c", 'CMD ["sh", "-c", "id -u; ls; echo $WHO"]']
    built.run(["mctl", "commit", *changes, "changed", BACK])
    built.run(["mctl", "push", "--tls-verify=false", BACK, BACK])
    run = ["podman", "run", "--rm", "--network", "none", "--tls-verify=false", BACK]
    assert built.run(run, timeout=60).text.split() == ["7", "kept", "mine", "same", "mctl"]
    owners = "stat -c '%n %u:%g %a %h' /box /box/kept"
    assert built.run([*run, "sh", "-c", owners]).text.splitlines() == ["/box 0:0 1777 1", "/box/kept 7:8 644 2"]
    layers = json.loads(built.run(["podman", "image", "inspect", BACK]).stdout)[0]["RootFS"]["Layers"]
    assert layers == json.loads(built.run(["mctl", "image", "inspect", BACK]).stdout)["Layers"]
    built.run(["sh", "-ec", f"mctl rm changed; mctl rmi {BACK} {BUILT}; podman rmi {BACK}"])


def test_there_and_back_again_with_tls_and_a_login(built: Engines) -> None:
    """Of a registry that wants both, by one file of logins for all three."""
    file, there, back = f"{PLACE}/auth", f"{SECURE}/team/built:1", f"{SECURE}/team/back:1"
    built.run(["sh", "-c", SET_UP_SECURE])
    built.run(["bash", "-c", WAIT.format("127.0.0.1/5443")])
    password = PASSWORD.decode().strip()
    login = f"printf %s '{password}' | skopeo login --authfile {file} -u alice --password-stdin {SECURE}"
    try:
        built.run(["bash", "-ec", f"{login}; podman push -q --authfile {file} built {there}"], timeout=120)
        refused = built.run(["mctl", "pull", there], check=False)
        assert (refused.returncode, b"log in by `skopeo login" in refused.stderr) == (1, True)
        for argv in (
            ["pull", "--authfile", file, there],
            ["run", "--name", "changed", "-u", "0", there, "sh", "-c", "echo mine > mine"],
            ["commit", "-c", "USER 7:8", "-c", 'CMD ["sh", "-c", "id -u; ls"]', "changed", back],
            ["push", "--authfile", file, back],
        ):  # fmt: skip
            built.run(["mctl", *argv], timeout=120)
        run = ["podman", "run", "--rm", "--network", "none", "--authfile", file, back]
        assert built.run(run, timeout=120).text.split() == ["7", "kept", "link", "mine", "same"]
    finally:
        built.run(["sh", "-c", f"mctl rm changed; mctl rmi {there} {back}; podman rmi {there} {back}"], check=False)
        built.run(["sh", "-c", f"systemctl stop {UNIT}; rm -r {PLACE} /etc/containers/certs.d"])


@pytest.mark.parametrize("form", ["oci-archive", "docker-archive"])
def test_what_podman_saves(built: Engines, form: str) -> None:
    built.run(["podman", "save", "-q", "--format", form, "-o", f"/srv/{form}.tar", "built"])
    assert "built" in built.run(["mctl", "load", "-i", f"/srv/{form}.tar"]).text
    assert built.run(["mctl", "run", "--rm", "localhost/built"]).text.split() == SEEN
    built.run(["sh", "-ec", f"mctl rmi localhost/built; rm /srv/{form}.tar"])


def test_several_images_in_one_archive(built: Engines) -> None:
    """What podman pipes to us, and we to it, and to skopeo."""
    built.run(["bash", "-o", "pipefail", "-ec", "podman save -q built | mctl load -q; mctl import --busybox alone:1"])
    names = ["localhost/built:latest", "alone:1"]
    ids = [json.loads(built.run(["mctl", "image", "inspect", name]).stdout)["Id"] for name in names]
    for some in (names[1:], names):
        loading = f"mctl save {' '.join(some)} | podman load -q"
        built.run(["bash", "-o", "pipefail", "-ec", loading], timeout=60)
        loaded = json.loads(built.run(["podman", "image", "inspect", *some]).stdout)
        assert [f"sha256:{image['Id']}" for image in loaded] == ids[-len(some):]
        built.run(["podman", "rmi", "alone:1"])
    built.run(["mctl", "save", "-o", "/srv/both.tar", *names])
    for kind in ("oci-archive", "docker-archive"):
        found = [built.run(["skopeo", "inspect", "--config", "--raw", f"{kind}:/srv/both.tar:{n}"]) for n in names]
        assert [f"sha256:{hashlib.sha256(each.stdout).hexdigest()}" for each in found] == ids
    built.run(["mctl", "rmi", *names])
    assert len(built.run(["mctl", "load", "-q", "-i", "/srv/both.tar"]).text.split()) == 2
    built.run(["sh", "-ec", f"mctl rmi {' '.join(names)}; rm /srv/both.tar"])


def test_what_docker_saves_and_pushes(built: Engines) -> None:
    built.run(["bash", "-ec", DOCKER], timeout=120)
    assert built.run(["mctl", "run", "--rm", "theirs"]).text.split() == ["/c", "docker"]
    built.run(["mctl", "rmi", "theirs"])
    pulled = ["mctl", "run", "-q", "--rm", "--tls-verify=false", f"{REGISTRY}/theirs"]
    assert built.run(pulled).text.split() == ["/c", "docker"]
    built.run(["mctl", "rmi", f"{REGISTRY}/theirs"])
