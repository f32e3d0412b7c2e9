# SPDX-License-Identifier: GPL-3.0-or-later
"""Files to containers and out of them, whether they run or not, and what a hostile container can make of it."""

from __future__ import annotations

import tarfile
import time
from io import BytesIO
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from machine.guest import Result

    from .conftest import Mctl

HERE = "/srv/cp"
MAKE = f"""
rm -rf {HERE}; mkdir -p {HERE}/d/e; cd {HERE}; umask 022
echo hello > f; echo x > d/x; ln d/x d/y; ln -s /etc/passwd d/l; chmod 4755 d/x; chown 7:8 d/e
"""
CANARY = "/srv/canary"

pytestmark = pytest.mark.nspawn


class Box:
    """A container called box, with a volume at /data."""

    def __init__(self, mctl: Mctl, *, runs: bool, options: tuple[str, ...] = ()) -> None:
        self.mctl = mctl
        verb = ("run", "-d") if runs else ("create",)
        mctl(*verb, "--name", "box", "-v", "boxdata:/data", *options, mctl.rootfs, "sleep", "100000")

    def cp(self, *words: str, ok: bool = True, user: str | None = None) -> Result:
        done = self.mctl("cp", *words, check=False, user=user)
        assert (done.returncode == 0) is ok, (words, done.stderr)
        return done

    def stream(self, path: str) -> tarfile.TarFile:
        return tarfile.open(fileobj=BytesIO(self.cp(f"box:{path}", "-").stdout))

    def exec(self, script: str) -> str:
        return self.mctl("exec", "box", "sh", "-c", script).text


@pytest.fixture(params=["runs", "rests"])
def box(mctl: Mctl, request: pytest.FixtureRequest) -> Iterator[Box]:
    mctl.shell(MAKE)
    yield Box(mctl, runs=request.param == "runs")
    mctl("rm", "-f", "box")
    mctl("volume", "rm", "boxdata")
    mctl.shell(f"rm -rf {HERE}")


def test_there_and_back(box: Box) -> None:
    """Ids inside are root's or, with -a, those from here; links stay links; a volume is what the container sees."""
    box.cp(f"{HERE}/f", "box:/tmp/new")
    box.cp(f"{HERE}/d", "box:/tmp")
    box.cp("-a", f"{HERE}/d/.", "box:/data")
    with box.stream("/tmp") as tar:
        assert sorted(tar.getnames()) == ["tmp", "tmp/d", "tmp/d/e", "tmp/d/l", "tmp/d/x", "tmp/d/y", "tmp/new"]
        assert {(info.uid, info.gid) for info in tar} == {(0, 0)}
        assert tar.getmember("tmp/d/y").islnk()
        assert tar.getmember("tmp/d/x").mode == 0o4755
        assert tar.getmember("tmp/d/l").linkname == "/etc/passwd"
    with box.stream("/data/.") as tar:
        assert (tar.getmember("./e").uid, tar.getmember("./e").gid) == (7, 8)
    box.cp("box:/tmp/d", f"{HERE}/back")
    look = f"cd {HERE}/back; stat -c '%n %a %u' e x; stat -c %h x; readlink l"
    assert box.mctl.shell(look).text == "e 755 0\nx 755 0\n2\n/etc/passwd\n"
    if box.mctl.properties("box")["State"] == "created":
        box.mctl("start", "box")
    assert box.exec("cat /tmp/new; cat /data/x; stat -c %u:%g /data/e") == "hello\nx\n7:8\n"


def test_what_comes_of_it_on_disk_is_the_containers(box: Box) -> None:
    """No file of the host's root lies there, a set-user-ID one least of all."""
    box.cp(f"{HERE}/d", "box:/tmp")
    shift = box.mctl.properties("box")["UIDShift"]
    identity = box.mctl.properties("box")["Id"]
    found = box.mctl.shell(f"stat -c %u /var/lib/mctl/containers/{identity}/upper/tmp/d/x").text
    assert int(found) == shift


def test_archives_as_streams(box: Box) -> None:
    made = box.mctl.shell(f"cd {HERE}; tar cz f d | mctl cp - box:/tmp; mctl cp box:/tmp - | tar t | sort").text
    assert made.split() == ["tmp/", "tmp/d/", "tmp/d/e/", "tmp/d/l", "tmp/d/x", "tmp/d/y", "tmp/f"]


def test_what_does_not_work_is_said(box: Box) -> None:
    box.cp(f"{HERE}/f", "box:/tmp/f")
    for words, sentence in (
        (("box:/no", HERE), "there is no '/no' in the container"),
        ((f"{HERE}/d", "box:/tmp/f"), "a directory cannot be copied to it"),
        ((f"{HERE}/f", "box:/no/f"), "there is no directory '/no' in the container"),
        ((f"{HERE}/f", "nobody:/tmp"), "there is no container 'nobody'"),
        ((HERE + "/no", "box:/tmp"), "no' here"),
    ):
        assert sentence in box.cp(*words, ok=False).stderr.decode()


def test_much_comes_through_unchanged(box: Box) -> None:
    """Also with a hole that is larger than the disk."""
    script = f"cd {HERE}; head -c 30000000 /dev/urandom > big; truncate -s 50G sparse; sha256sum < big"
    digest = box.mctl.shell(script).text.split()[0]
    box.cp(f"{HERE}/big", "box:/tmp")
    box.cp(f"{HERE}/sparse", "box:/tmp")
    data = box.mctl.shell("mctl cp box:/tmp/big - | tar xO | sha256sum").text
    assert data.split()[0] == digest
    box.cp("box:/tmp/sparse", f"{HERE}/back")
    assert box.mctl.shell(f"stat -c '%s %b' {HERE}/back").text.split() == [str(50 << 30), "0"]


@pytest.fixture
def running(mctl: Mctl) -> Iterator[Box]:
    mctl.shell(MAKE)
    yield Box(mctl, runs=True)
    mctl("rm", "-f", "box")
    mctl("volume", "rm", "boxdata")
    mctl.shell(f"rm -rf {HERE}")


def test_links_that_change_all_the_time_lead_nowhere(running: Box) -> None:
    """CVE-2018-15664: the container exchanges a directory and a link to the host while files are copied."""
    box = running
    box.mctl.shell(f"mkdir -p {CANARY}; echo secret > {CANARY}/f; echo secret > /root/f")
    box.exec("cd /tmp; mkdir real; echo inside > real/f; ln -s /../../../../srv/canary link; mkdir -p /srv/canary")
    flip = "cd /tmp; while :; do mv -T real spot; mv -T spot real; mv -T link spot; mv -T spot link; done"
    box.mctl("exec", "-d", "box", "sh", "-c", flip)
    end = time.monotonic() + 4
    while time.monotonic() < end:
        box.mctl("cp", f"{HERE}/f", "box:/tmp/spot/f", check=False)
        out = box.mctl("cp", "box:/tmp/spot/f", "-", check=False)
        assert b"secret" not in out.stdout
    assert box.mctl.shell(f"cat {CANARY}/f").text == "secret\n"
    box.mctl.shell(f"rm -rf {CANARY} /root/f")


def test_nothing_of_the_containers_is_loaded(running: Box) -> None:
    """CVE-2019-14271: where a process in its root would look for modules, libraries and users, only poison lies."""
    box = running
    box.exec(
        "for v in 3.11 3.13; do for m in encodings ctypes tarfile threading lzma zlib _lzma bz2 pwd grp; do "
        "mkdir -p /usr/lib/python$v; echo 'raise SystemExit(9)' > /usr/lib/python$v/$m.py; done; done; "
        "mkdir -p /lib/x86_64-linux-gnu; for l in libzstd.so.1 liblzma.so.5 libnss_files.so.2 libc.so.6; do "
        "echo no library > /lib/x86_64-linux-gnu/$l; done; echo 'passwd: evil' > /etc/nsswitch.conf"
    )
    box.cp(f"{HERE}/d", "box:/tmp")
    box.cp("box:/tmp/d", f"{HERE}/back")
    assert box.mctl.shell(f"cd {HERE}; tar cz d | mctl cp - box:/data; mctl cp box:/data/d/x - | tar xO").text == "x\n"


def test_what_is_mounted_is_written_in_place_and_devices_stay_out(running: Box) -> None:
    box = running
    box.cp(f"{HERE}/f", "box:/etc/hosts")
    assert box.exec("cat /etc/hosts") == "hello\n"
    done = box.cp("box:/dev", f"{HERE}/dev")
    assert "devices left out" in done.stderr.decode()
    assert box.mctl.shell(f"find {HERE}/dev -type c -o -type b").text == ""
    assert "Read-only file system" in box.cp(f"{HERE}/f", "box:/proc/sys/x", ok=False).stderr.decode()


def test_a_paused_one_answers_and_nobody_inside_sees_the_copy(running: Box) -> None:
    box = running
    box.mctl("pause", "box")
    box.cp(f"{HERE}/f", "box:/tmp")
    box.mctl("unpause", "box")
    box.mctl.shell(
        f"mkfifo {HERE}/p; mctl cp - box:/data < {HERE}/p > /dev/null 2>&1 & exec 3> {HERE}/p; "
        "for i in $(seq 300); do pgrep -f '[l]ibexec/mctl-copy' > /dev/null && break; sleep 0.1; done; "
        f"pgrep -f '[l]ibexec/mctl-copy' && mctl exec box ps > {HERE}/inside; exec 3>&-; wait"
    )
    inside = box.mctl.shell(f"cat {HERE}/inside").text
    assert "sleep" in inside
    assert "mctl-copy" not in inside


def test_a_read_only_root_stays_as_it_is(mctl: Mctl) -> None:
    mctl.shell(MAKE)
    for runs in (True, False):
        box = Box(mctl, runs=runs, options=("--read-only",))
        assert "Read-only file system" in box.cp(f"{HERE}/f", "box:/tmp", ok=False).stderr.decode()
        box.cp(f"{HERE}/f", "box:/data")
        mctl("rm", "-f", "box")
    mctl("volume", "rm", "boxdata")
    mctl.shell(f"rm -rf {HERE}")


def test_whoever_may_execute_may_copy_and_nobody_else(mctl: Mctl, alice_may_create: None) -> None:
    del alice_may_create
    mctl.shell(f"{MAKE} chmod 777 {HERE}; echo theirs > {HERE}/secret; chmod 600 {HERE}/secret")
    mctl("run", "-d", "--name", "hers", "/srv/alice", "sleep", "100000", user="alice")
    mctl("run", "-d", "--name", "roots", mctl.rootfs, "sleep", "100000")
    mctl("cp", f"{HERE}/f", "hers:/tmp/f", user="alice")
    mctl("cp", "hers:/tmp/f", f"{HERE}/g", user="alice")
    assert mctl.shell(f"stat -c %U {HERE}/g").text == "alice\n"
    for words in ((f"{HERE}/f", "roots:/tmp/f"), ("roots:/bin/busybox", f"{HERE}/b")):
        assert "not allowed" in mctl("cp", *words, user="alice", check=False).stderr.decode()
    refused = mctl("cp", f"{HERE}/secret", "hers:/tmp/f", user="alice", check=False)  # her own rights open it
    assert refused.returncode == 1
    assert mctl("exec", "hers", "cat", "/tmp/f").text == "hello\n"
    mctl("rm", "-f", "hers", "roots")
    mctl.shell(f"rm -rf {HERE}")


def test_removal_waits_for_no_copy(mctl: Mctl) -> None:
    """Of a container that does not run: while nobody writes into the pipe, it could not even be started."""
    mctl.shell(MAKE)
    mctl("create", "--name", "slow", mctl.rootfs, "true")
    copy = f"mctl cp - slow:/tmp < {HERE}/p 2> {HERE}/said"
    mctl.shell(f"mkfifo {HERE}/p; (sleep 23456 > {HERE}/p & {copy}; echo $? >> {HERE}/said) > /dev/null 2>&1 &")
    mctl.shell("for i in $(seq 300); do pgrep -f '[l]ibexec/mctl-copy' > /dev/null && break; sleep 0.1; done")
    mctl("rm", "-f", "slow")
    mctl.shell("pkill -f '[s]leep 23456'")  # which fails if it is not there any more
    mctl.shell(f"for i in $(seq 300); do grep -qx 1 {HERE}/said && break; sleep 0.1; done")
    assert "was removed" in mctl.shell(f"cat {HERE}/said").text
    mctl.shell(f"rm -rf {HERE}")
