# SPDX-License-Identifier: GPL-3.0-or-later
"""What is here already is not fetched: by whom it may be used, and what an interrupted pull has left."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from .conftest import STORE
from .test_registry import BOX, HOSTILE, PASSWORD, PLACE, REGISTRY, hostile, nothing_left, registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

__all__ = ["hostile", "registry"]
TELL = """
import hashlib, runpy
packed = runpy.run_path("/srv/hostile.py")["PACKED_BASE"]
print(hashlib.sha256(packed).hexdigest(), len(packed))
"""
ASK = "busctl --json=short call org.mctl1 /org/mctl1 org.mctl1.Manager PullImage sa{sv}t"


@dataclass(frozen=True)
class Blob:
    """The base, as this machine's Python compresses it."""

    digits: str
    size: int


@pytest.fixture
def base(serving: Mctl) -> Blob:
    digits, size = serving.machine.run(["python3", "-c", TELL]).text.split()
    return Blob(digits, int(size))


@pytest.fixture
def serving(hostile: Mctl) -> Iterator[Mctl]:
    yield hostile
    hostile.shell(f"rm -rf /srv/fetched /srv/stall {STORE}/blobs")


def pull(mctl: Mctl, name: str, *options: str, user: str | None = None) -> str:
    """What is said if it does not succeed."""
    found = mctl("pull", "--tls-verify=false", *options, f"{HOSTILE}/{name}", user=user, check=False, timeout=120)
    return found.stderr.decode() if found.returncode else ""


def fetched(mctl: Mctl, base: Blob) -> list[str]:
    """Names of the images for which the base was asked for."""
    lines = mctl.shell("cat /srv/fetched").text.splitlines()
    return [line.split()[0] for line in lines if line.endswith(base.digits)]


@pytest.mark.parametrize("kind", ["", "-docker", "-index"])
def test_the_base_that_is_here_is_not_fetched(serving: Mctl, base: Blob, kind: str) -> None:
    assert pull(serving, f"base{kind}") == ""
    script = f"""
        job=$({ASK} {HOSTILE}/upon{kind} 1 VerifyTLS b false 0 | sed 's/.*"\\(.*\\)".*/\\1/')
        busctl --timeout=120 call org.mctl1 $job org.mctl1.Job Wait > /dev/null
        busctl get-property org.mctl1 $job org.mctl1.Job LayersHere
        busctl get-property org.mctl1 $job org.mctl1.Job LayerProgress
    """
    here, progress = serving.shell(script, timeout=120).text.splitlines()
    assert here == "u 1"
    assert progress.startswith(f'a(stts) 2 "sha256:{base.digits}" 0 {base.size} "here" "sha256:')
    assert progress.endswith('"done"')
    assert fetched(serving, base) == [f"base{kind}"]
    serving("image", "check")
    serving("create", "--name", "it", f"{HOSTILE}/upon{kind}")
    assert {"base", "file"} <= set(serving.shell("mctl export it | tar t").text.split())
    serving("rm", "it")
    serving("rmi", f"{HOSTILE}/upon{kind}")
    watched = f"script -qec 'mctl pull --tls-verify=false {HOSTILE}/upon{kind}' /dev/null"
    told = serving.shell(watched, timeout=120).text
    assert f"\x1b[J{HOSTILE}/upon{kind}: 1 layer fetched, " in told
    assert "B, 1 layer already here\r\n" in told
    nothing_left(serving)


def test_another_tag_costs_what_is_new_in_it(registry: Mctl) -> None:
    """The registry has lost the base."""
    registry("run", "--name", "more", "busybox", "sh", "-c", "echo more > /more")
    registry("commit", "more", "more:1")
    registry("rm", "more")
    registry("push", "--creds", "alice", "more:1", f"{REGISTRY}/team/more:1", stdin=PASSWORD)
    registry("rmi", "more:1", "busybox")
    registry("pull", "--creds", "alice", BOX, stdin=PASSWORD)
    lose = f"cd {PLACE}/data/docker/registry/v2/blobs/sha256; rm -r $(ls -S */*/data | head -n 1 | xargs dirname)"
    registry.shell(lose)
    run = ["run", "--rm", "--creds", "alice", f"{REGISTRY}/team/more:1", "cat", "/more"]
    assert registry(*run, stdin=PASSWORD).text == "more\n"
    nothing_left(registry)


def test_who_knows_a_digest_does_not_have_what_it_is_of(serving: Mctl, base: Blob, alice_may_import: Mctl) -> None:
    """A registry names a layer that it does not have."""
    assert serving is alice_may_import
    assert pull(serving, "base", "--private") == ""
    assert "could not pull" in pull(serving, "claim", user="alice")
    asked = fetched(serving, base)
    assert set(asked) == {"base", "claim"}
    assert pull(serving, "claim") == ""  # root has it
    serving("rmi", f"{HOSTILE}/claim")
    serving("image", "share", f"{HOSTILE}/base")
    assert pull(serving, "claim", user="alice") == ""  # and now may she
    assert fetched(serving, base) == asked
    serving("rmi", f"{HOSTILE}/base")
    serving("image", "check", f"{HOSTILE}/claim", user="alice")
    nothing_left(serving)


@pytest.mark.allow_journal(r"mctld\.service")
@pytest.mark.parametrize("end", ["kill -INT $pulling", "systemctl kill --kill-whom=main --signal=KILL mctld.service"])
def test_what_was_interrupted_goes_on(serving: Mctl, base: Blob, alice_may_import: Mctl, end: str) -> None:
    assert serving is alice_may_import
    script = f"""
        touch /srv/stall
        env --default-signal=INT mctl pull --tls-verify=false {HOSTILE}/off 2> /dev/null & pulling=$!
        for i in $(seq 600); do
            ls {STORE}/making/*/transfer/image/blobs/sha256/{base.digits} 2> /dev/null && break; sleep 0.1
        done
        {end}
        wait $pulling
        mctl images -q
        for i in $(seq 600); do pgrep -x skopeo > /dev/null || break; sleep 0.1; done
        rm /srv/stall
    """
    serving.machine.run(["bash", "-mc", script], timeout=200)
    nothing_left(serving)
    assert serving.shell(f"stat -c '%U %a' {STORE}/blobs/0/{base.digits}").text == "root 600\n"
    assert "could not pull" in pull(serving, "claim", user="alice")  # it is root's
    assert pull(serving, "off") == ""
    assert fetched(serving, base).count("off") == 1
    serving("image", "check")
    assert serving.shell(f"ls -d {STORE}/blobs", check=False).returncode != 0
    nothing_left(serving)


def test_what_is_kept_is_told_and_freed(serving: Mctl) -> None:
    """By whom it is, and by root."""
    for uid, size in ((0, 3), (1000, 5)):
        place = f"{STORE}/blobs/{uid}"
        serving.shell(f"mkdir -p {place}; head -c {size}M /dev/zero > {place}/{str(size) * 64}")
    assert downloads(serving) == {0: 3 << 20, 1000: 5 << 20}
    assert downloads(serving, "alice") == {1000: 5 << 20}
    (line,) = [line for line in serving("system", "df", user="alice").text.splitlines() if "Downloads" in line]
    assert line.split() == ["Downloads", "1", "0", "5.0", "MiB", "5.0", "MiB", "(100%)"]
    assert serving("image", "prune", user="alice").text == "Total reclaimed space: 5.0 MiB\n"
    assert downloads(serving) == {0: 3 << 20}
    serving.shell(f"mkdir -p {STORE}/blobs/1000; head -c 5M /dev/zero > {STORE}/blobs/1000/{'5' * 64}")
    assert serving("system", "prune").text.splitlines()[-1] == "Total reclaimed space: 8.0 MiB"
    assert serving.shell(f"ls -d {STORE}/blobs", check=False).returncode != 0
    nothing_left(serving)


def downloads(mctl: Mctl, user: str | None = None) -> dict[int, int]:
    entries = json.loads(mctl("system", "df", "--json", user=user).stdout)
    return {entry["OwnerUID"]: entry["Size"] for entry in entries if entry["Kind"] == "download"}


def test_what_has_suffered_meanwhile_is_fetched_anew(serving: Mctl, base: Blob) -> None:
    kept = f"{STORE}/blobs/0"
    serving.shell(f"mkdir -p {kept}; head -c {base.size} /dev/zero > {kept}/{base.digits}")
    assert pull(serving, "upon") == ""
    assert fetched(serving, base) == ["upon"]
    serving("image", "check")
    nothing_left(serving)
