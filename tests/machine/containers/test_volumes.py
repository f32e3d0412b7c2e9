# SPDX-License-Identifier: GPL-3.0-or-later
"""Named volumes in a machine: data outlives containers, shows with their ids, and is nobody else's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

STORE = "/var/lib/mctl/volumes"
WHO = "id -u; stat -c '%n %u:%g %a' /data /data/sub/file; cat /data/sub/file"


@pytest.fixture
def volumes(busybox: Mctl) -> Iterator[Mctl]:
    """With an image `seed` that says that /data is a volume and has something there; ends without a volume."""
    busybox.shell(
        "set -e; cp -a /srv/root /srv/seed; mkdir -p /srv/seed/data/sub; echo seed > /srv/seed/data/sub/file; "
        "ln -s /etc/shadow /srv/seed/data/link; chown -Rh 7:8 /srv/seed/data; chmod 2750 /srv/seed/data; "
        "mctl import -c 'VOLUME /data' -c 'CMD [\"/bin/sh\"]' /srv/seed seed"
    )
    yield busybox
    names = busybox("ps", "-a", "-q").text.split()
    if names:
        busybox("rm", "-f", *names)
    for user in ("alice", None):
        busybox("volume", "prune", "-a", user=user)
    busybox.shell(f'rm -r /srv/seed; for i in $(seq 300); do [ -z "$(ls {STORE})" ] && break; sleep 0.1; done')
    assert busybox.shell(f"ls {STORE}").text == ""


def listed(mctl: Mctl, user: str | None = None) -> dict[str, list[str]]:
    found = json.loads(mctl("volume", "ls", "--json", user=user).stdout)
    return {volume["Name"] or "nameless": volume["Containers"] for volume in found}


def test_data_outlives_containers(volumes: Mctl) -> None:
    volumes("run", "--rm", "-v", "kept:/x", "busybox", "sh", "-c", "echo one > /x/f; chown 7:8 /x/f; chmod 4755 /x/f")
    assert volumes("run", "--rm", "-v", "kept:/y/deep", "busybox", "sh", "-c",
                   "stat -c '%u:%g %a' /y/deep/f; cat /y/deep/f").text == "7:8 4755\none\n"  # fmt: skip
    read_only = "type=volume,source=kept,target=/x,readonly"
    written = volumes("run", "--rm", "--mount", read_only, "busybox", "touch", "/x/no", check=False)
    assert b"Read-only file system" in written.stderr
    assert (
        volumes("run", "--rm", "-v", "kept:/x", "busybox", "grep", "-c", " /x .*nosuid,nodev", "/proc/mounts").text
        == "1\n"
    )
    assert volumes.shell(f"stat -c %a:%u {STORE}; stat -c '%u:%g' {STORE}/*/data/f").text == "700:0\n7:8\n"
    refused = volumes.machine.run(["sh", "-c", f"ls {STORE}/*"], user="alice", check=False)
    assert refused.returncode != 0


def test_two_containers_share_one(volumes: Mctl) -> None:
    volumes("run", "-d", "--name", "writer", "-v", "shared:/x", "busybox", "sh", "-c",
            "umask 77; echo secret > /x/f; sleep 1000")  # fmt: skip
    look = "for i in $(seq 300); do [ -s /x/f ] && break; sleep 0.1; done; stat -c %u /x/f; cat /x/f"
    found = volumes("run", "--rm", "-v", "shared:/x", "busybox", "sh", "-c", look)
    assert found.text == "0\nsecret\n"  # each has ids of its own on the host, and root is root in both
    refused = volumes("volume", "rm", "shared", check=False)
    assert b"the volume shared is used by writer: remove the container first" in refused.stderr
    volumes("rm", "-f", "writer")
    assert volumes("volume", "rm", "shared").text == "shared\n"


def test_the_image_fills_it_once(volumes: Mctl) -> None:
    assert volumes("run", "--rm", "-v", "new:/data", "seed", "sh", "-c", WHO).text.splitlines() == [
        "0", "/data 7:8 2750", "/data/sub/file 7:8 644", "seed",
    ]  # fmt: skip
    assert volumes("run", "--rm", "-v", "new:/data", "seed", "readlink", "/data/link").text == "/etc/shadow\n"
    volumes("run", "--rm", "-v", "new:/data", "seed", "rm", "-r", "/data/sub")
    assert volumes("run", "--rm", "-v", "new:/data", "seed", "ls", "/data").text == "link\n"
    assert (
        volumes("run", "--rm", "--mount", "type=volume,src=bare,dst=/data,volume-nocopy", "seed", "ls", "/data").text
        == ""
    )
    assert volumes("run", "--rm", "-v", "elsewhere:/not/there", "seed", "ls", "/not/there").text == ""


def test_a_part_of_one(volumes: Mctl) -> None:
    """In place of all of it, also where the image has a volume; at each start it has to be there."""
    volumes("run", "--rm", "-v", "site:/x", "busybox", "sh", "-c", "mkdir -p /x/a/b; echo one > /x/a/b/f; ln -s a /x/l")
    part = "type=volume,source=site,target=/data,volume-subpath={}"
    assert volumes("run", "--rm", "--mount", part.format("a"), "seed", "ls", "/data").text == "b\n"
    look = "cat /x/f; touch /x/g; echo two > /y; grep -c ' /[xy] .*nosuid,nodev' /proc/mounts"
    both = [f"--mount=type=volume,src=site,{more}" for more in ("dst=/x,ro,subpath=a/b", "dst=/y,subpath=a/b/f")]
    found = volumes("run", "--name", "part", *both, "busybox", "sh", "-c", look)
    assert (found.text, b"Read-only file system" in found.stderr) == ("one\n2\n", True)
    assert sorted(volumes.properties("part")["Volumes"]) == [
        ["site", "/x", "ro,subpath=a/b"], ["site", "/y", "rw,subpath=a/b/f"],
    ]  # fmt: skip
    volumes.shell("echo three > /tmp/three; mctl cp part:/y - | tar -xO; mctl cp /tmp/three part:/y; rm /tmp/three")
    assert volumes("run", "--rm", "-v", "site:/x", "busybox", "cat", "/x/a/b/f").text == "three\n"
    for subpath, why in (("no", "it is not there"), ("l/b", "a symbolic link"), ("..", "is not a path in a volume")):
        refused = volumes("run", "--rm", "--mount", part.format(subpath), "busybox", "true", check=False)
        assert (refused.returncode, why in refused.stderr.decode()) == (125, True), refused.stderr
    nowhere = volumes("run", "--rm", "--mount", "type=volume,src=no,dst=/x,subpath=a", "busybox", "true", check=False)
    assert b"there is no volume 'no' of yours" in nowhere.stderr
    assert listed(volumes) == {"site": ["part"]}


@pytest.mark.allow_journal(r"Container web is not started: could not show 'a' of the volume site")
def test_a_part_of_one_in_a_unit(volumes: Mctl) -> None:
    volumes("run", "--rm", "-v", "site:/x", "busybox", "mkdir", "/x/a")
    part = "type=volume,source=site,target=/x,volume-subpath=a"
    volumes("create", "--name", "web", "--mount", part, "busybox", "sh", "-c", "echo up >> /x/log; exec sleep 1000")
    volumes("enable", "web")
    volumes.shell("systemctl start mctl@web.service")
    volumes.until("mctl run --rm -v site:/x busybox grep up /x/a/log")
    volumes("exec", "web", "mv", "/x/log", "/x/was")
    volumes.shell("systemctl stop mctl@web.service; mctl run --rm -v site:/x busybox mv /x/a /x/b")
    failed = volumes.shell("systemctl start mctl@web.service", check=False)
    assert failed.returncode == 1
    volumes.until("journalctl -u mctl@web.service | grep \"could not show 'a' of the volume site: it is not there\"")
    volumes("run", "--rm", "-v", "site:/x", "busybox", "mv", "/x/b", "/x/a")
    volumes.shell("systemctl reset-failed; systemctl start mctl@web.service")
    volumes.until("mctl run --rm -v site:/x busybox grep up /x/a/log")
    volumes("disable", "web")


def test_what_an_image_calls_a_volume(volumes: Mctl) -> None:
    """Without a name: it goes with --rm and rm -v, and stays with a plain rm."""
    assert volumes("run", "--rm", "seed", "cat", "/data/sub/file").text == "seed\n"
    assert listed(volumes) == {}
    volumes("run", "--name", "one", "seed", "sh", "-c", "echo more >> /data/sub/file")
    assert listed(volumes) == {"nameless": ["one"]}
    assert volumes.properties("one")["Volumes"][0][1:] == ["/data", "rw"]
    assert volumes("start", "-a", "one").returncode == 0
    volumes("rm", "one")
    assert listed(volumes) == {"nameless": []}
    assert len(volumes("volume", "prune").text.split()) == 1
    volumes("create", "--name", "two", "-v", "/more", "seed")
    volumes("rm", "-v", "two")
    assert listed(volumes) == {}
    assert volumes("run", "--rm", "--tmpfs", "/data", "seed", "ls", "/data").text == ""
    failed = volumes("run", "--name", "three", "seed", "/no/such/program", check=False)
    assert failed.returncode == 127
    assert listed(volumes) == {}


def test_whose_they_are(volumes: Mctl, alice_may_create: None) -> None:
    assert alice_may_create is None
    volumes("volume", "create", "-l", "of=root", "data")
    assert volumes("volume", "create", "data", user="alice").text == "data\n"
    assert b"you have a volume 'data' already" in volumes("volume", "create", "data", user="alice", check=False).stderr
    volumes("run", "--rm", "-v", "data:/x", "busybox", "sh", "-c", "echo root > /x/f")
    assert volumes("run", "--rm", "-v", "data:/x", "busybox", "ls", "/x", user="alice").text == ""
    identities = {v["OwnerUID"]: v["Id"] for v in json.loads(volumes("volume", "ls", "--json").stdout)}
    assert listed(volumes, "alice") == {"data": []}
    stolen = volumes("run", "--rm", "-v", f"{identities[0]}:/x", "busybox", "cat", "/x/f", user="alice", check=False)
    assert (stolen.returncode, b"there is no volume" in stolen.stderr) == (125, True)
    for verb in ("rm", "inspect"):
        refused = volumes("volume", verb, "--no-ask-password", identities[0], user="alice", check=False)
        assert refused.returncode == 1
    assert json.loads(volumes("volume", "inspect", "data").stdout)["Labels"] == {"of": "root"}
    volumes("volume", "rm", identities[1000])
    assert listed(volumes) == {"data": []}


def test_many_first_uses_at_once(volumes: Mctl) -> None:
    script = "for i in 1 2 3 4 5 6; do mctl run --rm -v many:/data seed cat /data/sub/file & done; wait"
    assert volumes.shell(script).text == "seed\n" * 6
    assert volumes("volume", "ls", "-q").text == "many\n"


@pytest.mark.allow_journal(r"mctld\.service")
def test_a_service_killed_meanwhile(volumes: Mctl) -> None:
    """What was filled by half is filled anew; what is known of a volume is never half."""
    volumes.shell("head -c 40M /dev/urandom > /srv/seed/data/big; mctl import -c 'VOLUME /data' /srv/seed big; "
                  "rm /srv/seed/data/big", timeout=120)  # fmt: skip
    for number in range(5):
        volumes.shell(
            f"mctl run --rm -v cut:/data big sha256sum /data/big >/dev/null 2>&1 & sleep 0.{number + 1}; "
            "systemctl kill --kill-whom=main --signal=KILL mctld.service; wait; mctl ps -aq | xargs -r mctl rm -f; true"
        )
        assert set(listed(volumes)) <= {"cut"}
        sizes = volumes("run", "--rm", "-v", "cut:/data", "big", "stat", "-c", "%s", "/data/big").text
        assert sizes == f"{40 << 20}\n"
        volumes("volume", "rm", "cut")
