# SPDX-License-Identifier: GPL-3.0-or-later
"""What containers have become: as an archive, and as an image that runs, is pushed, and is read by others."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

CHANGE = """
set -e
rm -r /etc/gone; rm -r /etc/again; mkdir /etc/again; echo new > /etc/again/x
echo kept > /usr/bin/file; chown 7:8 /usr/bin/file; chmod 4750 /usr/bin/file; ln /usr/bin/file /usr/bin/other
ln -s /usr/bin/file /to; mkfifo /pipe; dd if=/dev/zero of=/holes bs=1 count=0 seek=50M 2> /dev/null; echo end >> /holes
"""
LOOK = """
stat -c '%n %u:%g %a %h %s' /usr/bin/file /usr/bin/other /holes; readlink /to; ls /etc/again; test -p /pipe && echo pipe
ls -d /etc/gone 2> /dev/null || echo gone
"""
SEEN = [
    "/usr/bin/file 7:8 4750 2 5", "/usr/bin/other 7:8 4750 2 5", "/holes 0:0 644 1 52428804", "/usr/bin/file", "x",
    "pipe", "gone",
]  # fmt: skip
KILLED = r"mctld\.service: (Failed with result 'signal'|Main process exited.*)"
REGISTRY = "localhost:5444"
SERVE = """
set -e; mkdir -p /srv/plain; printf 'version: 0.1\nstorage: {filesystem: {rootdirectory: /srv/plain/data}}
http: {addr: "127.0.0.1:5444"}\n' > /srv/plain/config.yml
systemd-run -q --unit=test-plain docker-registry serve /srv/plain/config.yml
exec bash -c 'for i in $(seq 300); do (exec 3<>/dev/tcp/127.0.0.1/5444) 2> /dev/null && exit 0; sleep 0.1; done; exit 1'
"""


@pytest.fixture
def changed(busybox: Mctl) -> Iterator[Mctl]:
    """A container `box` that has ended and has changed what its image has."""
    busybox.shell(
        "set -e; cp -a /srv/root /srv/base; mkdir -p /srv/base/etc/gone /srv/base/etc/again /srv/base/usr/bin; "
        "touch /srv/base/etc/again/old /srv/base/etc/gone/x; mctl import -c 'ENTRYPOINT [\"/bin/sh\"]' -c 'ENV A=1' "
        "-c 'LABEL of=base' /srv/base base; rm -r /srv/base"
    )
    busybox("run", "--name", "box", "-e", "B=2", "-l", "by=run", "base", "-c", CHANGE)
    yield busybox
    busybox("rm", "-f", "box", check=False)


def test_an_image_of_what_has_changed(changed: Mctl) -> None:
    (made,) = changed("commit", "-m", "why", "-a", "me", "-c", 'CMD ["-c", "echo $A$B"]', "box", "made:1").text.split()
    assert changed("run", "--rm", "made:1").text == "12\n"
    assert changed("run", "--rm", "made:1", "-c", LOOK).text.splitlines() == SEEN
    image = json.loads(changed("image", "inspect", made).stdout)
    base = json.loads(changed("image", "inspect", "base").stdout)
    assert (image["Layers"][:-1], image["Labels"]) == (base["Layers"], {"of": "base", "by": "run"})
    assert (image["Entrypoint"], image["Shared"], image["Size"] < base["Size"] + 4096) == (["/bin/sh"], True, True)
    assert changed("image", "check", "made:1").text == "made:1: ok\n"
    assert changed("history", "made:1").text.splitlines()[1].split()[-1] == "why"
    names = changed.shell("mctl save made:1 | tar -xO manifest.json | tr , '\\n' | grep -c blobs/sha256")
    assert names.text == "3\n"  # the configuration, and two layers


def test_what_it_has_changed(changed: Mctl) -> None:
    """Of what its image has, and nothing that only serves to show our files; also while it runs."""
    wanted = [
        "C /etc", "C /etc/again", "D /etc/again/old", "A /etc/again/x", "D /etc/gone", "A /holes", "A /pipe", "A /to",
        "C /usr", "C /usr/bin", "A /usr/bin/file", "A /usr/bin/other",
    ]  # fmt: skip
    assert changed("diff", "box").text.splitlines() == wanted
    found = json.loads(changed("container", "diff", "--json=short", "box").stdout)
    assert [f"{each['Kind']} {each['Path']}" for each in found] == wanted
    changed("run", "-d", "--name", "runs", "base", "-c", "echo > $'/a\\nb'; echo > /etc/again/old; exec sleep 1000")
    changed.shell("until mctl exec runs test -s /etc/again/old; do sleep 0.1; done")
    assert changed("diff", "runs").text.splitlines() == ["A /a\\nb", "C /etc", "C /etc/again", "C /etc/again/old"]
    changed("rm", "-f", "runs")
    changed("create", "--name", "fresh", "base")
    assert changed("diff", "fresh").text == ""
    changed("rm", "fresh")


def test_what_a_container_of_a_directory_has_changed(mctl: Mctl) -> None:
    mctl.run("sh", "-c", "echo > /new; rm /bin/sh; mkdir -m 700 /d", options=["--name", "dir"])
    assert mctl("diff", "dir").text.splitlines() == ["C /bin", "D /bin/sh", "A /d", "A /new"]
    assert mctl("diff", "dir", user="bob", check=False).returncode == 1


def test_all_that_it_shows(changed: Mctl) -> None:
    with tarfile.open(fileobj=io.BytesIO(changed("export", "box").stdout)) as archive:
        members = {member.name: member for member in archive}
    assert {"bin/busybox", "etc/again/x", "holes"} <= members.keys()
    assert not {"etc/again/old", "etc/gone", "etc/gone/x"} & members.keys()
    assert (members["usr/bin/file"].uid, oct(members["usr/bin/file"].mode)) == (7, "0o4750")
    assert members["usr/bin/other"].islnk()
    again = "mctl export -o /srv/box.tar box; ls -s /srv/box.tar; mctl import - flat < /srv/box.tar; rm /srv/box.tar"
    assert int(changed.shell(again).text.split()[0]) < 30_000  # KiB: the hole is none of it
    assert changed("run", "--rm", "flat", "/bin/sh", "-c", LOOK).text.splitlines() == SEEN


def test_it_stands_still_meanwhile(busybox: Mctl) -> None:
    """Two files that a loop writes one after the other; frozen, they are never apart by more than that one write."""
    write = "echo $i > /new; mv /new"
    loop = f"i=0; while :; do i=$((i+1)); {write} /a; {write} /b; done"
    busybox("run", "-d", "--name", "busy", "busybox", "sh", "-c", loop)
    try:
        busybox.until("mctl exec busy cat /a /b")
        for number in range(3):
            busybox("commit", "busy", f"moment:{number}")
            a, b = busybox("run", "--rm", f"moment:{number}", "cat", "/a", "/b").text.split()
            assert int(a) - int(b) in (0, 1)
            assert busybox.properties("busy")["State"] == "running"
        busybox("pause", "busy")
        busybox("commit", "-q", "busy", "paused")
        assert busybox.properties("busy")["State"] == "paused"
    finally:
        busybox("rm", "-f", "busy")


@pytest.mark.allow_journal(KILLED)
def test_a_service_that_dies_leaves_nothing_frozen(busybox: Mctl) -> None:
    """An export that nobody reads holds the container still; then the service is killed."""
    busybox("run", "-d", "--name", "held", "busybox", "sh", "-c", "while :; do date +%N > /x; sleep 0.1; done")
    busybox.shell(
        "mkfifo /srv/pipe; (exec 3<>/srv/pipe; exec sleep 60) > /dev/null 2>&1 & echo $! > /srv/reader; sleep 0.2; "
        "(mctl export held > /srv/pipe) > /dev/null 2>&1 &"
    )
    try:
        frozen = 'for i in $(seq 300); do [ "$(mctl ps -q -f state=paused)" ] && exit; sleep 0.1; done; exit 1'
        busybox.machine.run(["bash", "-c", frozen])
        busybox.shell(f"kill -9 {busybox.service_pid()}; mctl ps > /dev/null")
        going = 'for i in $(seq 300); do [ "$(mctl ps -q -f state=running)" ] && exit; sleep 0.1; done; exit 1'
        busybox.machine.run(["bash", "-c", going])
        assert busybox.shell("ls /var/lib/mctl/containers/*/standstill 2> /dev/null || echo none").text == "none\n"
    finally:
        busybox.shell("kill $(cat /srv/reader); rm /srv/pipe /srv/reader")
        busybox("rm", "-f", "held")


def test_a_container_of_a_directory_and_one_that_never_ran(mctl: Mctl, images: Mctl, rootfs: str) -> None:
    assert mctl is images
    images("run", "--name", "dir", rootfs, "sh", "-c", "echo here > /new")
    images("commit", "dir", "of-dir")
    images("rm", "dir")
    assert images("run", "--rm", "of-dir", "cat", "/new").text == "here\n"
    images("create", "--name", "fresh", "of-dir", "sh", "-c", "echo never")
    images("commit", "fresh", "same")
    assert images("run", "--rm", "same").text == "never\n"
    images("rm", "fresh")
    found = [json.loads(images("image", "inspect", name).stdout)["Layers"] for name in ("of-dir", "same")]
    assert found[0] == found[1]


def test_whose_it_is(alice_may_import: Mctl) -> None:
    mctl = alice_may_import
    mctl("import", "--busybox")
    mctl("run", "--name", "hers", "busybox", "sh", "-c", "echo secret > /mine", user="alice")
    assert mctl("commit", "hers", "hers:1", user="alice").returncode == 0
    refused = [mctl(verb, "--no-ask-password", "hers", user="bob", check=False) for verb in ("export", "commit")]
    assert [each.returncode for each in refused] == [1, 1]
    mctl("commit", "hers", "roots:1")  # not shared: what alice has is not everybody's
    assert mctl("run", "--rm", "roots:1", "cat", "/mine", user="bob", check=False).returncode == 125
    assert mctl("run", "--rm", "hers:1", "cat", "/mine", user="alice").text == "secret\n"
    mctl("rm", "hers", user="alice")
    mctl("rmi", "hers:1", user="alice")


def test_there_and_to_others(changed: Mctl) -> None:
    """run -> commit -> push -> skopeo and, where it is installed, podman."""
    changed("commit", "box", f"{REGISTRY}/made:1")
    changed.shell(SERVE)
    try:
        changed("push", "--tls-verify=false", f"{REGISTRY}/made:1")
        copied = f"""
            set -e; cd /srv; skopeo copy -q --src-tls-verify=false docker://{REGISTRY}/made:1 oci:/srv/copy:made
            for blob in copy/blobs/sha256/*; do echo "$(basename $blob)  $blob"; done | sha256sum -c --quiet
            for blob in copy/blobs/sha256/*; do tar -tzf $blob 2> /dev/null || true; done; rm -r copy
        """
        listed = changed.shell(copied).text.split()
        assert {"etc/.wh.gone", "etc/again/.wh..wh..opq", "etc/again/x", "./bin/busybox"} <= set(listed)
        changed("rmi", f"{REGISTRY}/made:1")
        changed("pull", "--tls-verify=false", f"{REGISTRY}/made:1")
        assert changed("run", "--rm", f"{REGISTRY}/made:1", "-c", LOOK).text.splitlines() == SEEN
    finally:
        changed.shell("systemctl stop test-plain; rm -r /srv/plain")
